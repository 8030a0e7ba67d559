"""What a diagnosis predicts of changes, and with which range."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from feedbench.bench.diagnose.predict import LEAST_GAIN
from feedbench.bench.diagnose.prediction import Prediction
from feedbench.bench.diagnose.verdict import Diagnosis
from feedbench.bench.html.charts.dots import Dot, Line
from feedbench.bench.html.charts.frame import Role
from feedbench.bench.html.kinds.cells import Field, dots_chart, number, table_of
from feedbench.bench.html.parts import Chart, Figure, Section, Text
from feedbench.bench.report.table import bytes_text


def what_if(diagnosis: Diagnosis) -> Iterator[Section]:
    """Yield the predictions, the largest rate first; nothing if there are none."""
    rate = diagnosis.end_to_end
    predictions = sorted(diagnosis.predictions, key=lambda one: -one.images_per_second)
    if predictions and rate:
        helps = any(round(one.gain, 2) > 0 for one in predictions)
        first = _chart(predictions, rate) if helps else _none_helps(predictions)
        yield Section("What if", [first, table_of("Predictions", _FIELDS, predictions)], "what-if")


def _none_helps(predictions: Sequence[Prediction]) -> Text:
    changes = ", ".join(dict.fromkeys(one.change for one in predictions))
    return Text(f"None of these helps: {changes}.")


def _chart(predictions: Sequence[Prediction], rate: float) -> Chart:
    best = predictions[0]
    return dots_chart(
        f"{best.change[0].upper()}{best.change[1:]} is predicted to give {_gain(best)}",
        f"Predicted images per second with their range; now {rate:,.0f}.",
        [_dot(one) for one in predictions],
        "images per second, predicted",
        [Line(rate, f"now: {rate:,.0f}")],
        zero=True,
    )


def _gain(one: Prediction) -> str:
    return f"{round(one.gain, 2) + 0.0:+.0%}"


def _dot(one: Prediction) -> Dot:
    role: Role = "marked" if one.remedy and one.fits and one.gain >= LEAST_GAIN else "plain"
    text = f"{one.images_per_second:,.0f} ({_gain(one)})"
    name = f"{one.change}: {one.how}"
    return Dot(name, one.images_per_second, text, one.low, one.high, role)


_FIELDS: list[Field[Prediction]] = [
    Field("change", lambda one: one.change),
    Field(
        "images/s",
        lambda one: Figure(one.images_per_second, one.low, one.high),
        "predicted, with its range",
    ),
    Field("gain", lambda one: number(one.gain, "+.0%"), "relative to the present rate"),
    Field(
        "AU",
        lambda one: number(one.accelerator_utilization, ".0%"),
        "accelerator utilization after the change",
    ),
    Field(
        "in detail",
        lambda one: one.how + ("" if one.fits else " (does not fit into memory)"),
    ),
    Field(
        "memory",
        lambda one: one.needs_bytes and Figure(one.needs_bytes, text=bytes_text(one.needs_bytes)),
        "that the change needs",
    ),
    Field(
        "assumed",
        lambda one: one.assumes,
        "what must hold for the prediction to be right",
    ),
]
