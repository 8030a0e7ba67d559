"""Where the time went in a training that missed its rate: into its steps, or waiting for images."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Pace:
    """How long an image took.

    Attributes:
        images_per_second: the rate.
        wait_share: fraction of the time without a batch.
    """

    images_per_second: float
    wait_share: float

    @property
    def step_s(self) -> float:
        """Seconds per image in steps."""
        return (1 - self.wait_share) / self.images_per_second


def loss_text(predicted: Pace, achieved: Pace) -> str:
    """Return what became of steps and waits, in a sentence."""
    change = achieved.step_s / predicted.step_s - 1
    steps = f"{abs(change):.0%} {'longer' if change > 0 else 'shorter'} than in the bench"
    waits = f"{achieved.wait_share:.0%} of the time, in the bench {predicted.wait_share:.0%}"
    return f"The steps took {steps}; it waited for images {waits}."
