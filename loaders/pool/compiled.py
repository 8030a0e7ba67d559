"""The compiled module that fills batches without Python's lock, and the sources that it can read.

`module.c` says what its functions take.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Decoder(NamedTuple):
    """How JPEGs become images.

    Attributes:
        function: a capsule; None if the bytes are the pixels already.
        plan: what it takes.
    """

    function: Any
    plan: tuple[Any, ...]


PIXELS = Decoder(None, ())


class Work(NamedTuple):
    """How the compiled module makes the images of a batch.

    Attributes:
        source: one of the below.
        paths: of the images, if it reads files.
    """

    source: Any
    paths: list[bytes] | None = None


@cache
def compiled_module() -> Any | None:
    """The compiled module; None where it was not built."""
    try:
        return import_module("feedbench.loaders.pool._pool")
    except ImportError:
        return None


def source_of_files(decoder: Decoder | None) -> Any | None:
    """Return JPEG files as a source; None without the compiled modules."""
    module = compiled_module()
    return None if module is None or decoder is None else module.from_files(*decoder)


def source_of_pack(
    index: NDArray[Any],
    positions: NDArray[np.int64],
    files: NDArray[np.int32],
    checked: NDArray[np.bool_],
    decoder: Decoder,
) -> Any | None:
    """Return the rows of a pack as a source; None without the compiled module.

    Args:
        index: an ENTRY per position.
        positions: of each row of the manifest.
        files: open, of each shard.
        checked: whether each row of the manifest was found to be what was written; it is updated.
        decoder: of the rows, or `PIXELS`.
    """
    module = compiled_module()
    if module is None:
        return None
    return module.from_pack(index, positions, files, checked.view(np.uint8), *decoder)


def source_of_memory(images: NDArray[np.uint8]) -> Any | None:
    """Return contiguous images by row as a source; None without the compiled module."""
    module = compiled_module()
    return None if module is None else module.from_memory(images, len(images))
