"""A predicted rate: its model, and how it follows from the rates of loader and consumer."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

from feedbench.bench.diagnose.rates import Rates

Change = Literal[
    "one more accelerator",
    "twice the cores",
    "faster storage",
    "files in memory",
    "decoded images in memory",
    "all cores decode",
    "fixed parallelism",
    "uint8 batches",
    "another image size",
]


class Prediction(BaseModel):
    """The predicted effect of one change.

    Attributes:
        how: the change in detail.
        accelerator_utilization: rate divided by the rate of the accelerators without a wait.
        gain: relative to the measured rate; 0.5 means +50 %.
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


def rate_with(rates: Rates, loader: float, consumer: float) -> float:
    """Return the end-to-end rate of a faster loader or consumer, with the measured overlap."""
    return min(loader, consumer) * rates.overlap


def predict(
    rates: Rates, change: Change, how: str, loader: float, consumer: float, assumes: str
) -> Prediction:
    """Return the prediction for a change.

    Args:
        rates: measured without the change.
        change: its name.
        how: the change in detail.
        loader: rate of the loader with the change, in images per second.
        consumer: rate of the consumer with the change.
        assumes: what must hold for the prediction to be right.
    """
    rate = rate_with(rates, loader, consumer)
    return Prediction(
        change=change,
        how=how,
        images_per_second=rate,
        accelerator_utilization=rate / consumer,
        gain=rate / rates.end_to_end - 1,
        assumes=assumes,
    )


def seconds_per_image(rate: float | None) -> float:
    """Return the seconds per image at a rate; 0 for a stage that the loader does not have."""
    return 0.0 if rate is None else 1 / rate
