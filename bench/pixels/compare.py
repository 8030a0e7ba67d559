"""Whether loaders give the same pixels: the same rows through each, held against the first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from feedbench.bench.plan.plan import TOLERANCE, Choice
from feedbench.bench.record import SamePixels
from feedbench.loaders import BatchSpec, LoaderError, Manifest, open_loader, printable

Pictures = NDArray[np.uint8]


class _Kept(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Worst(_Kept):
    """An image in which a loader differs most; `path` is relative to the data's folder."""

    path: str
    row: int
    mean: float
    largest: int
    reason: str = ""


class LoaderPixels(_Kept):
    """One loader's pixels against the reference's, in levels of 0 to 255, rounded to whole ones.

    Attributes:
        identical: share of images in which no value differs.
        mean: mean absolute difference of all values of all images.
        worst_mean: the same of the image in which it is largest; what the tolerance is held to.
        largest: largest absolute difference of any value.
        within: whether `worst_mean` is within the tolerance; None if the loader failed.
        error: why it gave no pixels.
    """

    loader: str
    settings: dict[str, Any]
    identical: float = 0.0
    mean: float = 0.0
    worst_mean: float = 0.0
    largest: int = 0
    within: bool | None = None
    worst: list[Worst] = []
    error: str | None = None


class Pixels(_Kept):
    """The comparison of all loaders with the first of them."""

    reference: str
    tolerance: float
    images: int
    loaders: list[LoaderPixels]


def by_choice(pixels: Pixels | None, *, allowed: bool) -> dict[str, SamePixels]:
    """The finding on each choice whose loader gave pixels, by the choice's text.

    Args:
        allowed: whether those beyond the tolerance are ranked too.
    """
    if pixels is None:
        return {}
    return {
        str(Choice(loader=one.loader, settings=one.settings)): SamePixels(
            reference=pixels.reference,
            tolerance=pixels.tolerance,
            worst_mean=one.worst_mean,
            within=one.within,
            allowed=allowed,
        )
        for one in pixels.loaders
        if one.within is not None
    }


def sampled(manifest: Manifest, images: int, seed: int) -> Manifest:
    """So many rows of the manifest, drawn by a seed."""
    chosen = np.zeros(len(manifest), np.bool_)
    drawn = np.random.default_rng(seed).permutation(len(manifest))
    chosen[drawn[:images]] = True
    return manifest.where(pa.array(chosen))


def compare(
    choices: Iterable[Choice],
    manifest: Manifest,
    spec: BatchSpec,
    *,
    tolerance: float = TOLERANCE,
    worst: int = 8,
    on_error: str = "raise",
    started: Callable[[str], None] = lambda name: None,
    explain: Callable[[str, BatchSpec, Pictures, Pictures], str] | None = None,
    show: Callable[[str, list[Worst], Pictures, Pictures], None] | None = None,
) -> Pixels:
    """Feed all rows of the manifest through each loader, and compare with the first that can.

    Args:
        worst: how many images to name for each loader.
        on_error: "skip" leaves out files that fail in all loaders.
        started: called with each loader before it is opened.
        explain: gives the reason of a difference from path, spec and the two pictures.
        show: called with each loader, its worst images, and their pictures and the reference's.

    Raises:
        LoaderError: no loader can give the images.
    """
    spec = spec.for_evaluation().model_copy(
        update={"batch_size": min(spec.batch_size, len(manifest))}
    )
    compared: list[LoaderPixels] = []
    reference: Pictures | None = None
    name = ""
    for choice in choices:
        started(str(choice))
        about = LoaderPixels(loader=choice.loader, settings=choice.settings)
        try:
            own = pictures(choice, manifest, spec, on_error)
        except LoaderError as error:
            compared.append(about.model_copy(update={"error": str(error)}))
            continue
        if reference is None:
            reference, name = own, str(choice)
            compared.append(about.model_copy(update={"identical": 1.0, "within": True}))
            continue
        found, rows = _differences(choice, own, reference, manifest, tolerance, worst)
        if explain is not None:
            found = _explained(found, rows, own, reference, manifest, spec, explain)
        if show is not None:
            show(str(choice), found.worst, own[rows], reference[rows])
        compared.append(found)
    if reference is None:
        raise LoaderError(compared[-1].error)
    return Pixels(reference=name, tolerance=tolerance, images=len(manifest), loaders=compared)


def pictures(
    choice: Choice, manifest: Manifest, spec: BatchSpec, on_error: str = "raise"
) -> Pictures:
    """What a loader gives for each row, uint8 `[rows, side, side, 3]`, 0 to 255, rounded.

    Rows that fail and are skipped are black.
    """
    side = spec.image_size
    given = np.zeros((len(manifest), side, side, 3), np.uint8)
    with open_loader(
        choice.loader,
        manifest,
        spec,
        choice.settings,
        epochs=1,
        on_error=on_error,
        error_budget=1.0,
    ) as stream:
        for images, _, rows in stream:
            given[rows] = _levels(np.asarray(images), spec)
    return given


def _levels(images: NDArray[Any], spec: BatchSpec) -> Pictures:
    if images.dtype == np.uint8:
        return images
    levels = (images.astype(np.float64) - spec.offset) / spec.scale
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def _differences(
    choice: Choice,
    own: Pictures,
    reference: Pictures,
    manifest: Manifest,
    tolerance: float,
    worst: int,
) -> tuple[LoaderPixels, list[int]]:
    means = np.array([difference(*pair).mean() for pair in zip(own, reference, strict=True)])
    peaks = np.array([difference(*pair).max() for pair in zip(own, reference, strict=True)])
    rows = [int(row) for row in np.argsort(-means, kind="stable")[:worst] if peaks[row]]
    named = [
        Worst(
            path=printable(os.fsdecode(manifest.name(row))),
            row=row,
            mean=round(float(means[row]), 3),
            largest=int(peaks[row]),
        )
        for row in rows
    ]
    found = LoaderPixels(
        loader=choice.loader,
        settings=choice.settings,
        identical=float((peaks == 0).mean()),
        mean=round(float(means.mean()), 4),
        worst_mean=round(float(means.max()), 3),
        largest=int(peaks.max()),
        within=bool(means.max() <= tolerance),
        worst=named,
    )
    return found, rows


def difference(one: Pictures, other: Pictures) -> NDArray[np.int16]:
    """Absolute difference, in levels."""
    return np.abs(one.astype(np.int16) - other.astype(np.int16))


def _explained(
    found: LoaderPixels,
    rows: list[int],
    own: Pictures,
    reference: Pictures,
    manifest: Manifest,
    spec: BatchSpec,
    explain: Callable[[str, BatchSpec, Pictures, Pictures], str],
) -> LoaderPixels:
    worst = [
        one.model_copy(
            update={"reason": explain(manifest.path(row), spec, own[row], reference[row])}
        )
        for one, row in zip(found.worst, rows, strict=True)
    ]
    return found.model_copy(update={"worst": worst})
