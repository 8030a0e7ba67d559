"""JPEGs decoded and resized in one go, row by row, by the compiled module where it was built.

The image is never in memory as a whole: only the rows that resizing takes are converted to RGB, and
each is resized while it is in the processor's cache. The pixels are those of `resize.fit_into`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.contract import BatchSpec
from feedbench.loaders.images.jpeg_region import Pixels, compiled_module
from feedbench.loaders.images.pillow import PILLOW_PIXELS
from feedbench.loaders.pool.compiled import Decoder

_FITS = ("stretch", "crop", "pad")


class Fitting(NamedTuple):
    """How images are decoded and resized, as the compiled module takes it."""

    side: int
    fit: int
    bilinear: bool
    fast: bool
    most_pixels: int


def fitting(spec: BatchSpec, *, scaled: bool) -> Fitting | None:
    """Return how JPEGs become images of this spec; None if the compiled module cannot do it.

    Args:
        scaled: use the fast inverse DCT and shrink in it as far as the spec allows.
    """
    if spec.antialias or compiled_module() is None:
        return None
    bilinear = spec.interpolation == "bilinear"
    return Fitting(spec.image_size, _FITS.index(spec.resize), bilinear, scaled, PILLOW_PIXELS)


def fit_jpeg(data: Any, how: Fitting, into: Pixels, crop: Crops | None = None) -> bool:
    """Write a JPEG's image; return False for what `decoded_jpeg` or another decoder has to read.

    Args:
        data: any contiguous buffer of bytes.
        into: uint8 `[side, side, 3]`, contiguous; after False its contents are undefined.
        crop: the region to cut out; None for the whole image.
    """
    return bool(_module().fit(data, how, crop, into))


def decoder(how: Fitting | None) -> Decoder | None:
    """The function behind `fit_jpeg`, for the module that fills batches."""
    return None if how is None else Decoder(_module().decoder, tuple(how))


def _module() -> Any:
    module = compiled_module()
    assert module is not None, "fitting() returns None without the compiled module"
    return module
