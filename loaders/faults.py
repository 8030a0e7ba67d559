"""Images that fail while a loader runs: they end the run, or are dropped within a budget."""

from __future__ import annotations

from dataclasses import dataclass, field

from feedbench.loaders.errors import BudgetError, ImageError, SettingsError

BUDGET = 0.001  # fraction of the images that a run may drop


@dataclass(frozen=True)
class Tolerance:
    """How many images may fail before the run ends.

    Attributes:
        skip: whether images that fail are dropped; if not, the first one ends the run.
        budget: fraction of the images that may be dropped.
        images: rows in the manifest.
    """

    skip: bool = False
    budget: float = 0.0
    images: int = 0

    def check(self, failed: int, last: ImageError) -> None:
        """Return if this many images may fail.

        Raises:
            ImageError: the last one, if none may fail.
            BudgetError: they exceed the budget.
        """
        if not self.skip:
            raise last
        if failed > self.budget * self.images:
            raise BudgetError(
                f"{failed} of {self.images:,} images failed, more than the {self.budget:.2%} that "
                "--error-budget allows; raise it, or find all unreadable files with feedbench "
                f"scan; the last one: {last}"
            )


@dataclass
class Faults:
    """The images dropped so far.

    Attributes:
        dropped: each error by row, in the order in which the images failed.
    """

    tolerance: Tolerance = Tolerance()
    dropped: dict[int, ImageError] = field(default_factory=dict)

    def add(self, error: ImageError) -> None:
        """Record an image that failed.

        Raises:
            LoaderError: the run cannot continue without it.
        """
        self.dropped.setdefault(error.row, error)
        self.tolerance.check(len(self.dropped), error)


def tolerance(on_error: str, budget: float, images: int) -> Tolerance:
    """The tolerance that a user's options describe.

    Raises:
        SettingsError: an option has an invalid value.
    """
    if on_error not in ("raise", "skip"):
        raise SettingsError(f"on_error must be raise or skip, got {on_error!r}")
    if not 0 <= budget <= 1:
        raise SettingsError(f"error_budget must be from 0 to 1, got {budget}")
    return Tolerance(on_error == "skip", budget, images)
