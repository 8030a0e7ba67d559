"""The result of a pixel check, as it is stored in JSON."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict

from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import SamePixels


class _Result(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageDifference(_Result):
    """How an image of one loader differs from the reference's, in levels of 0 to 255.

    Attributes:
        path: file, relative to the data's folder.
        row: row of the manifest that was compared.
        mean: mean absolute difference.
        largest: largest absolute difference.
        reason: likely cause; empty if it was not looked for.
    """

    path: str
    row: int
    mean: float
    largest: int
    reason: str = ""


class LoaderPixels(_Result):
    """One loader's pixels compared with the reference's, in levels of 0 to 255.

    Attributes:
        loader: name.
        settings: those that were set by the user.
        identical: fraction of images without any difference.
        mean: mean absolute difference over all values of all images.
        worst_mean: largest mean absolute difference of any image; the tolerance applies to it.
        largest: largest absolute difference of any value.
        within: whether `worst_mean` is within the tolerance; None if the loader failed.
        worst: the images that differ most.
        error: why the loader failed, or why its batches cannot be compared.
        traceback: of the user's own code, if that failed.
        comparable: False for an own loader whose batches cannot be compared, which is no failure.
    """

    loader: str
    settings: dict[str, Any]
    identical: float = 0.0
    mean: float = 0.0
    worst_mean: float = 0.0
    largest: int = 0
    within: bool | None = None
    worst: list[ImageDifference] = []
    error: str | None = None
    traceback: str = ""
    comparable: bool = True


class PixelComparison(_Result):
    """The comparison of all loaders with a reference, the first loader that did not fail.

    Attributes:
        reference: loader and settings of the reference.
        tolerance: largest mean difference per image that counts as the same, in levels.
        images: number of images compared.
        loaders: one result per loader, the reference included.
    """

    reference: str
    tolerance: float
    images: int
    loaders: list[LoaderPixels]


def not_compared(choices: Iterable[Choice], tolerance: float, error: str) -> PixelComparison:
    """Return the result of a check that failed as a whole."""
    loaders = [
        LoaderPixels(loader=choice.loader, settings=choice.settings, error=error)
        for choice in choices
    ]
    return PixelComparison(reference="", tolerance=tolerance, images=0, loaders=loaders)


def by_choice(comparison: PixelComparison | None, *, allowed: bool) -> dict[str, SamePixels]:
    """Return the result of each loader, by `str(choice)`.

    Args:
        comparison: None if there was nothing to compare.
        allowed: whether loaders beyond the tolerance are ranked too; those that cannot be compared
            always are.
    """
    if comparison is None:
        return {}
    return {
        str(Choice(loader=result.loader, settings=result.settings)): SamePixels(
            reference=comparison.reference,
            tolerance=comparison.tolerance,
            worst_mean=result.worst_mean,
            within=result.within,
            allowed=allowed or not result.comparable,
        )
        for result in comparison.loaders
    }
