"""What a diagnosis predicts of changes, and with which range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feedbench.bench.diagnose.predict import LEAST_GAIN
from feedbench.bench.diagnose.prediction import Prediction
from feedbench.bench.diagnose.verdict import Diagnosis
from feedbench.bench.html.charts.dots import Dot, Line, dots
from feedbench.bench.html.charts.frame import Role
from feedbench.bench.html.kinds.cells import listed, number, without_empty_columns
from feedbench.bench.html.parts import Chart, Column, Figure, Part, Section, Table


def what_if(diagnosis: Diagnosis) -> Iterator[Section]:
    """Yield the predictions, the largest rate first; nothing if there are none."""
    if diagnosis.predictions and diagnosis.end_to_end:
        parts = _parts(diagnosis.predictions, diagnosis.end_to_end)
        yield Section("What if", list(parts), "what-if")


def _parts(predicted: Sequence[Prediction], rate: float) -> Iterator[Part]:
    predictions = sorted(predicted, key=lambda one: -one.images_per_second)
    rows = [_dot(one) for one in predictions]
    best = predictions[0]
    title = f"{best.change[0].upper()}{best.change[1:]} is predicted to give {_gain(best)}"
    yield Chart(
        title,
        f"Predicted images per second with their range; now {rate:,.0f}. {listed(rows)}",
        dots(rows, "images per second, predicted", [Line(rate, f"now: {rate:,.0f}")], zero=True),
    )
    yield _table(predictions)


def _gain(one: Prediction) -> str:
    return f"{round(one.gain, 2) + 0.0:+.0%}"


def _dot(one: Prediction) -> Dot:
    role: Role = "marked" if one.remedy and one.fits and one.gain >= LEAST_GAIN else "plain"
    text = f"{one.images_per_second:,.0f} ({_gain(one)})"
    name = f"{one.change}: {one.how}"
    return Dot(name, one.images_per_second, text, one.low, one.high, role)


def _table(predictions: Sequence[Prediction]) -> Table:
    columns = [
        Column("change"),
        Column("in detail"),
        Column("images/s", "predicted, with its range", numeric=True),
        Column("AU", "accelerator utilization after the change", numeric=True),
        Column("gain", "relative to the present rate", numeric=True),
        Column("memory, GB", "that the change needs", numeric=True),
        Column("assumed", "what must hold for the prediction to be right"),
    ]
    rows = [
        [
            one.change,
            one.how + ("" if one.fits else " (does not fit into memory)"),
            Figure(one.images_per_second, one.low, one.high),
            number(one.accelerator_utilization, ".0%"),
            number(one.gain, "+.0%"),
            number(one.needs_bytes, ",.2f", scale=1e9),
            one.assumes,
        ]
        for one in predictions
    ]
    return without_empty_columns("Predictions", columns, rows)
