"""Compares the pixels of loaders: the same rows from each, against those of the first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from feedbench.bench.pixels.result import ImageDifference, LoaderPixels, PixelComparison
from feedbench.bench.plan.plan import TOLERANCE, Choice
from feedbench.loaders import (
    UNCHANGED,
    Batch,
    BatchSpec,
    LoaderError,
    Manifest,
    Stream,
    find_loader,
    forget,
    open_loader,
    printable,
)

Images = NDArray[np.uint8]
_EPOCHS = 2  # of an own loader, in which each row must have come
# Takes an address, the spec, and the image of a loader and of the reference; returns the cause.
Explain = Callable[[str, BatchSpec, Images, Images], str]
# Takes a loader, its worst differences, its images of them, and the reference's.
Draw = Callable[[str, list[ImageDifference], Images, Images], None]


class NotComparable(Exception):
    """A loader's batches do not say which images they hold, or hold none of the spec's form."""


def random_rows(manifest: Manifest, images: int, seed: int) -> Manifest:
    """Return a random subset of the manifest, in its order; all rows if it has fewer."""
    selected = np.zeros(len(manifest), np.bool_)
    shuffled = np.random.default_rng(seed).permutation(len(manifest))
    selected[shuffled[:images]] = True
    return manifest.where(pa.array(selected))


def compare(
    choices: Iterable[Choice],
    manifest: Manifest,
    spec: BatchSpec,
    *,
    tolerance: float = TOLERANCE,
    worst_images: int = 8,
    on_error: str = "raise",
    on_reading: Callable[[str], None] = lambda name: None,
    explain: Explain | None = None,
    draw: Draw | None = None,
) -> PixelComparison:
    """Read all rows of the manifest by each loader, and compare them with those of the first.

    Loaders that fail are left out, and so are own loaders whose batches cannot be compared; the
    reference is the first of the others.

    Args:
        choices: loaders with their settings.
        manifest: the images.
        spec: what an image must be; shuffling is disabled, and augmentation except for
            random-resized crops, unless a user's function is among the loaders.
        tolerance: largest mean difference per image that counts as the same, in levels.
        worst_images: number of images to report for each loader.
        on_error: "skip" leaves out files that fail in all loaders.
        on_reading: called with each loader before it is opened.
        explain: finds the cause of a difference.
        draw: called with the worst differences of each loader.

    Raises:
        LoaderError: all loaders failed.
    """
    choices = list(choices)
    spec = _compared_spec(spec, choices, len(manifest))
    comparer: _Comparer | None = None
    failure: LoaderError | None = None
    results: list[LoaderPixels] = []
    for choice in choices:
        on_reading(str(choice))
        try:
            images = _read_alone(choice, manifest, spec, on_error)
        except LoaderError as error:
            failure = error
            traceback = getattr(error, "details", "")
            results.append(_result(choice, error=str(error), traceback=traceback))
            continue
        except NotComparable as reason:
            results.append(_result(choice, comparable=False, error=str(reason)))
            continue
        if comparer is None:
            comparer = _Comparer(
                str(choice), images, manifest, spec, tolerance, worst_images, explain, draw
            )
            results.append(_result(choice, identical=1.0, within=True))
        else:
            results.append(comparer.compare(choice, images))
    if comparer is None and failure is not None:
        raise failure
    return PixelComparison(
        reference=comparer.name if comparer else "",
        tolerance=tolerance,
        images=len(manifest) if comparer else 0,
        loaders=results,
    )


def _compared_spec(spec: BatchSpec, choices: Iterable[Choice], images: int) -> BatchSpec:
    """Return the spec of a comparison; each user's function would cut regions of its own."""
    own = any(find_loader(choice.loader).own is not None for choice in choices)
    augment = UNCHANGED if own else spec.augment.only_regions
    update = {"batch_size": min(spec.batch_size, images), "augment": augment}
    return spec.for_evaluation().model_copy(update=update)


def _read_alone(choice: Choice, manifest: Manifest, spec: BatchSpec, on_error: str) -> Images:
    """Read the images; modules that a user's function has loaded are not left for the next one."""
    try:
        return read_images(choice, manifest, spec, on_error)
    finally:
        if (own := find_loader(choice.loader).own) is not None:
            forget(own)


def read_images(
    choice: Choice, manifest: Manifest, spec: BatchSpec, on_error: str = "raise"
) -> Images:
    """Return a loader's image of each row, uint8 `[rows, side, side, 3]`.

    Float images are converted to levels of 0 to 255 and rounded. Rows that were skipped are black.

    Raises:
        NotComparable: an own loader gives no rows, not all of them, or other images.
        LoaderError: a file cannot be read, or an image holds NaN or infinity.
    """
    side, own = spec.image_size, find_loader(choice.loader).own
    if own is not None and not own.takes("manifest"):
        raise NotComparable(f"{own.function} does not take manifest, so it cannot give these rows")
    levels = np.zeros((len(manifest), side, side, 3), np.uint8)
    with open_loader(
        choice.loader,
        manifest,
        spec,
        choice.settings,
        epochs=1,
        on_error=on_error,
        error_budget=1.0,
    ) as stream:
        for batch in _comparable(stream, len(manifest), spec) if own else stream:
            pixels = np.asarray(batch.images)
            _check_finite(pixels, batch.rows, manifest)
            levels[batch.rows] = _levels(pixels, spec)
    return levels


def _check_finite(pixels: NDArray[Any], rows: Any, manifest: Manifest) -> None:
    """Refuse images that a training would turn into a loss of NaN.

    Raises:
        LoaderError: an image holds NaN or infinity.
    """
    finite = np.isfinite(pixels).all(axis=(1, 2, 3))
    if not finite.all():
        row = int(np.asarray(rows)[np.argmin(finite)])
        raise LoaderError(
            f"{printable(manifest.path(row))}: row {row}: the loader gives NaN or infinity in its "
            "pixels; fix the loader"
        )


def _comparable(stream: Stream, images: int, spec: BatchSpec) -> Iterator[Batch]:
    """Yield batches of an own loader until each row has come."""
    missing, given = np.ones(images, np.bool_), 0
    for batch in stream:
        if batch.rows is None:
            raise NotComparable("its batches have no rows")
        pixels = np.asarray(batch.images)
        if pixels.shape[1:] != (spec.image_size, spec.image_size, 3):
            raise NotComparable(f"its images are {pixels.dtype} {list(pixels.shape)}")
        yield batch
        missing[batch.rows] = False
        given += len(batch.rows)
        if not missing.any() or given >= _EPOCHS * images:
            break
    missing[[error.row for error in stream.dropped]] = False
    if missing.any():
        raise NotComparable(f"{missing.sum()} of {images} rows were not among its batches")


def difference(first: Images, second: Images) -> NDArray[np.int16]:
    """Return the absolute difference in levels."""
    return np.abs(first.astype(np.int16) - second.astype(np.int16))


@dataclass(frozen=True)
class _Comparer:
    """Compares images of loaders with those of the reference."""

    name: str
    reference: Images
    manifest: Manifest
    spec: BatchSpec
    tolerance: float
    worst_images: int
    explain: Explain | None
    draw: Draw | None

    def compare(self, choice: Choice, images: Images) -> LoaderPixels:
        means, peaks = self._differences(images)
        rows = np.argsort(-means, kind="stable")[: self.worst_images]
        worst = [
            ImageDifference(
                path=printable(os.fsdecode(self.manifest.name(row))),
                row=row,
                mean=round(float(means[row]), 3),
                largest=int(peaks[row]),
                reason=self._reason(row, images),
            )
            for row in rows.tolist()
            if peaks[row]
        ]
        if self.draw is not None:
            drawn = [image.row for image in worst]
            self.draw(str(choice), worst, images[drawn], self.reference[drawn])
        return _result(
            choice,
            identical=float((peaks == 0).mean()),
            mean=round(float(means.mean()), 4),
            worst_mean=round(float(means.max()), 3),
            largest=int(peaks.max()),
            within=bool(means.max() <= self.tolerance),
            worst=worst,
        )

    def _differences(self, images: Images) -> tuple[NDArray[np.float64], NDArray[np.int16]]:
        """Return the mean and the largest absolute difference of each image."""
        pairs = zip(images, self.reference, strict=True)
        both = [(levels.mean(), levels.max()) for levels in (difference(*pair) for pair in pairs)]
        means, peaks = zip(*both, strict=True)
        return np.array(means), np.array(peaks)

    def _reason(self, row: int, images: Images) -> str:
        if self.explain is None or self.spec.augment:
            return ""
        path = self.manifest.address(row)
        return self.explain(path, self.spec, images[row], self.reference[row])


def _result(choice: Choice, **values: Any) -> LoaderPixels:
    return LoaderPixels(loader=choice.loader, settings=choice.settings, **values)


def _levels(images: NDArray[Any], spec: BatchSpec) -> Images:
    if images.dtype == np.uint8:
        return images
    levels = (images.astype(np.float64) - spec.offset) / spec.scale
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)
