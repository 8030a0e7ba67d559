"""Parts of JPEGs, decoded alone by a compiled module where it was built.

simplejpeg and OpenCV decode whole images. libjpeg-turbo itself can leave out most of the work
outside of a rectangle, but only through an interface that needs C (decoder.c).
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment.regions import Region

Pixels = NDArray[np.uint8]
REGION_LOADERS = ("turbo", "packed")  # that decode by this module
_MORE_COLUMNS = 64  # that may be decoded beside a region: a block of up to 32 pixels, and a margin


@cache
def compiled_module() -> Any | None:
    """The compiled module; None where it was not built, or libjpeg-turbo is missing."""
    try:
        return import_module("feedbench.loaders.images._jpeg")
    except ImportError:
        return None


def decodes_regions() -> bool:
    """Whether regions of JPEGs can be decoded alone."""
    return compiled_module() is not None


def decoded_alone(
    data: Any, region: Region, ratio: int, memory: Any, *, fast: bool
) -> Pixels | None:
    """A region of a JPEG that is shrunk by a ratio, uint8 `[height, width, 3]`.

    None without the compiled module, for colours that it does not convert, and for damage in what
    it reads: everything above the region, and the region itself.

    Args:
        region: in pixels of the shrunk image.
        memory: returns memory of at least a number of bytes, which the pixels then lie in.
        fast: use the fast inverse DCT and upsampling.
    """
    module = compiled_module()
    if module is None:
        return None
    out = memory(region.height * (region.width + _MORE_COLUMNS) * 3)
    decoded = module.decode(data, ratio, fast, *region, out)
    if decoded is None:
        return None
    first, columns = decoded
    pixels = out[: region.height * columns * 3].reshape(region.height, columns, 3)
    return np.asarray(pixels[:, region.left - first :][:, : region.width])
