"""Which classes a trained network takes for which, from its predictions of the test images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from feedbench.bench.errors import RecordError
from feedbench.bench.html.charts.matrix import MOST_CLASSES, matrix
from feedbench.bench.html.kinds.cells import Field, number, table_of
from feedbench.bench.html.parts import Chart, Part, Table
from feedbench.bench.quantities import quantity
from feedbench.bench.training.predictions import each_prediction

_MOST_PAIRS = 50  # listed

Pairs = Counter[tuple[str, str]]  # images by true and predicted class


def confusion_parts(values: dict[str, Any], folder: Path) -> Iterator[Part]:
    """Yield the confusion matrix, or only the most confused pairs of very many classes.

    Nothing if the predictions were not saved.

    Args:
        values: the contents of training.json.
    """
    try:
        predictions = each_prediction(folder)
        pairs: Pairs = Counter((one.label, one.predicted) for _, one in predictions)
    except RecordError:
        return
    names = [name for name in values.get("classes", []) if isinstance(name, str)]
    names += sorted({name for pair in pairs for name in pair} - {*names})
    pairs = _ordered(pairs, names)
    table = _confused(pairs)
    if len(names) <= MOST_CLASSES:
        yield _chart(pairs, names, table)
    elif table is not None:
        yield table


def _ordered(pairs: Pairs, names: Sequence[str]) -> Pairs:
    """Return the pairs in the order of their classes: of equal counts, pictures name the first."""
    places = {name: place for place, name in enumerate(names)}
    ordered = sorted(pairs, key=lambda pair: (places[pair[0]], places[pair[1]]))
    return Counter({pair: pairs[pair] for pair in ordered})


def _chart(pairs: Pairs, names: Sequence[str], table: Table | None) -> Chart:
    counts = [[pairs[true, predicted] for predicted in names] for true in names]
    return Chart(
        _title(pairs),
        "Confusion matrix: a row per true class, a column per predicted class; shades are shares "
        f"of the true class. {_title(pairs)}.",
        matrix(counts, names),
        table=table,
    )


def _title(pairs: Pairs) -> str:
    wrong = {pair: count for pair, count in pairs.items() if pair[0] != pair[1]}
    if not wrong:
        return "Every test image is classified correctly"
    (true, predicted), count = max(wrong.items(), key=lambda item: item[1])
    return f"The most frequent confusion: {true} taken for {predicted}, {quantity(count, 'image')}"


class _Confused(NamedTuple):
    true: str
    predicted: str
    images: int
    share: float  # of the true class


_FIELDS: list[Field[_Confused]] = [
    Field("true class", lambda row: row.true),
    Field("taken for", lambda row: row.predicted),
    Field("images", lambda row: row.images),
    Field("share of the class", lambda row: number(row.share, ".1%")),
]


def _confused(pairs: Pairs) -> Table | None:
    """Return the pairs of classes that are confused most often; None if there are none."""
    totals: Counter[str] = Counter()
    for (true, _), count in pairs.items():
        totals[true] += count
    rows = [
        _Confused(true, predicted, count, count / totals[true])
        for (true, predicted), count in pairs.most_common()
        if true != predicted
    ][:_MOST_PAIRS]
    if not rows:
        return None
    note = f"The {_MOST_PAIRS} most frequent." if len(rows) == _MOST_PAIRS else ""
    return table_of("Confused classes", _FIELDS, rows, note=note)
