"""What a library's own call does with audited files, in its most usual form.

Feedbench's loaders avoid most of these problems; in your own code they occur.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feedbench.loaders.capabilities import LibraryCall
from feedbench.loaders.images.decode_path import (
    ALPHA,
    GREY,
    PILLOW,
    PLAIN,
    orientations_to_undo,
    pillow_decode_paths,
    tensorflow_decode_paths,
)
from feedbench.loaders.images.pillow import UPRIGHT
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.spec import BatchSpec

_UPRIGHT = BatchSpec(orientation="apply")
Flags = NDArray[np.bool_]


def load_img(manifest: Manifest) -> LibraryCall:
    """Keras' `load_img`, which is Pillow's `Image.open` and `convert("RGB")`."""
    fails = flags(pc.is_valid(manifest.table["pillow"]))
    alters = ~fails & (pillow_decode_paths(manifest, _UPRIGHT) == PILLOW)
    return LibraryCall(fails, alters, np.zeros_like(fails))


def decode_image(manifest: Manifest) -> LibraryCall:
    """TensorFlow's `decode_image` with the usual `channels=3`."""
    paths = tensorflow_decode_paths(manifest, _UPRIGHT)
    strict = flags(pc.is_in(manifest.table["format"], pa.array(["WEBP", "JXL"])))
    fails = flags(pc.is_valid(manifest.table["tensorflow"]))
    fails |= strict & np.isin(paths, (ALPHA, GREY))
    turned = orientations_to_undo(manifest, _UPRIGHT, paths) != UPRIGHT
    alters = ~fails & ((paths != PLAIN) | turned)
    return LibraryCall(fails, alters, np.zeros_like(fails))


def only_listed(call: LibraryCall, manifest: Manifest, listed: Iterable[str]) -> LibraryCall:
    """Return a call that skips files without one of these extensions."""
    there = flags(pc.is_in(extensions(manifest), pa.array(list(listed))))
    return LibraryCall(call.fails & there, call.alters & there, ~there)


def extensions(manifest: Manifest) -> Any:
    """Return each file's extension in lower case, with its dot; empty if it has none."""
    found = pc.extract_regex(manifest.table["path"], rb"(?P<extension>\.[A-Za-z0-9]+)$")
    found = pc.struct_field(found, "extension")
    text = pc.fill_null(found, b"").cast(pa.string())
    return pc.utf8_lower(text)


def flags(column: Any) -> Flags:
    """Return a boolean column as an array, with null as False."""
    return np.asarray(pc.fill_null(column, False).combine_chunks().to_numpy(False), np.bool_)
