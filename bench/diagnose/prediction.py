"""A predicted rate: that of a changed model."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from feedbench.bench.diagnose.model import Model

Change = Literal[
    "one more accelerator",
    "twice the cores",
    "faster storage",
    "files in memory",
    "decoded images in memory",
    "all cores decode",
    "fixed parallelism",
    "uint8 batches",
    "one more service worker",
    "no network",
    "another image size",
]


class Prediction(BaseModel):
    """The predicted effect of one change.

    Attributes:
        change: kind of the change.
        how: the change in detail.
        images_per_second: the rate with it.
        accelerator_utilization: rate divided by the rate of the accelerators without a wait.
        gain: relative to the present rate; 0.5 means +50 %.
        assumes: what must hold for the prediction to be right.
        low, high: ends of the range in images per second; None if the prediction has no range.
        needs_bytes: memory that the change needs; None if it needs none.
        fits: whether that memory is available.
        remedy: whether the change helps against the bottleneck; False: it only answers a question.
    """

    model_config = ConfigDict(extra="forbid")

    change: Change
    how: str
    images_per_second: float
    accelerator_utilization: float
    gain: float
    assumes: str
    low: float | None = None
    high: float | None = None
    needs_bytes: int | None = None
    fits: bool = True
    remedy: bool = True

    @model_validator(mode="after")
    def _has_both_ends_or_none(self) -> Self:
        if (self.low is None) != (self.high is None):
            raise ValueError("low and high: give both or neither")
        return self


def predict(present: Model, change: Change, how: str, changed: Model, assumes: str) -> Prediction:
    """Return the prediction for a change.

    Args:
        present: fitted to the measurement.
        change: its name.
        how: the change in detail.
        changed: the model with the change.
        assumes: what must hold for the prediction to be right.
    """
    return Prediction(
        change=change,
        how=how,
        images_per_second=changed.rate,
        accelerator_utilization=changed.rate * changed.consumer_s,
        gain=changed.rate / present.rate - 1,
        assumes=assumes,
    )
