"""What becomes of images that fail while a loader runs: the run ends, or drops them and goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from feedbench.loaders.errors import BudgetError, ImageError, SettingsError

OnError = Literal["raise", "skip"]
BUDGET = 0.001  # share of the images that a run may drop


@dataclass(frozen=True)
class Tolerance:
    """How many of the images may fail before the run ends.

    Attributes:
        skip: whether an image that fails is dropped at all.
        budget: share of the images that may be.
        images: rows in the manifest.
    """

    skip: bool
    budget: float
    images: int

    def hold(self, failed: int, last: ImageError) -> None:
        """Say whether so many may fail.

        Raises:
            ImageError: the last one, where none may.
            BudgetError: they are more than the budget.
        """
        if not self.skip:
            raise last
        if failed > self.budget * self.images:
            raise BudgetError(
                f"{failed} of {self.images:,} images failed, more than the {self.budget:.2%} that "
                f"--error-budget allows; raise it, or find them all by feedbench scan; the last: "
                f"{last}"
            )


@dataclass
class Faults:
    """The images that were dropped so far.

    Attributes:
        dropped: by row, in the order in which they failed.
    """

    tolerance: Tolerance
    dropped: dict[int, ImageError] = field(default_factory=dict)

    def meet(self, error: ImageError) -> None:
        """Note an image that failed.

        Raises:
            LoaderError: the run may not go on without it.
        """
        self.dropped.setdefault(error.row, error)
        self.tolerance.hold(len(self.dropped), error)


def tolerance(on_error: str, budget: float, images: int) -> Tolerance:
    """From the options that people give.

    Raises:
        SettingsError: an option has a value that it cannot have.
    """
    if on_error not in ("raise", "skip"):
        raise SettingsError(f"on_error must be raise or skip, got {on_error!r}")
    if not 0 <= budget <= 1:
        raise SettingsError(f"error_budget must be a share from 0 to 1, got {budget}")
    return Tolerance(on_error == "skip", budget, images)
