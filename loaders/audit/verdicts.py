"""What each library's own call would do with the files that an audit has seen.

The loaders here mend most of it; whoever writes the call by hand meets it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feedbench.loaders.contract import BatchSpec, Decoder
from feedbench.loaders.images.decode_path import (
    ALPHA,
    GREY,
    PILLOW,
    PLAIN,
    orientations_to_undo,
    pillow_decode_paths,
    readable,
    tensorflow_decode_paths,
)
from feedbench.loaders.images.pillow import UPRIGHT
from feedbench.loaders.keras_directory import EXTENSIONS
from feedbench.loaders.manifest import Manifest

_UPRIGHT = BatchSpec(orientation="apply")
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Verdict:
    """Numbers of files.

    Attributes:
        fails: the library's own call ends with an error.
        alters: it gives another picture than the file shows: alpha dropped, 16 bits cut, a
            photograph not turned upright, palettes mistaken.
        drops: it passes over them without a word.
        left_out: even the loader here cannot give them.
    """

    fails: int
    alters: int
    drops: int
    left_out: int


def verdicts(manifest: Manifest) -> dict[str, Verdict]:
    """The verdict on each library's own call, by the loader that makes it."""
    nothing = np.zeros(len(manifest), np.bool_)
    listed = _flags(pc.is_in(extensions(manifest), pa.array(EXTENSIONS)))
    fails, alters = _tensorflow(manifest)
    return {
        "keras_pil": _verdict(manifest, "pillow", *_pillow(manifest), nothing),
        "keras_directory": _verdict(
            manifest, "tensorflow", fails & listed, alters & listed, ~listed
        ),
        "tf_data": _verdict(manifest, "tensorflow", fails, alters, nothing),
    }


def extensions(manifest: Manifest) -> Any:
    """Each file's extension in small letters with its dot; empty where it has none."""
    found = pc.extract_regex(manifest.table["path"], rb"(?P<extension>\.[A-Za-z0-9]+)$")
    found = pc.struct_field(found, "extension")
    text = pc.fill_null(found, b"").cast(pa.string())
    return pc.utf8_lower(text)


def _verdict(
    manifest: Manifest, decoder: Decoder, fails: Flags, alters: Flags, drops: Flags
) -> Verdict:
    left_out = ~_flags(readable(manifest, decoder))
    return Verdict(*(int(flags.sum()) for flags in (fails, alters, drops, left_out)))


def _pillow(manifest: Manifest) -> tuple[Flags, Flags]:
    fails = _flags(pc.is_valid(manifest.table["pillow"]))
    return fails, ~fails & (pillow_decode_paths(manifest, _UPRIGHT) == PILLOW)


def _tensorflow(manifest: Manifest) -> tuple[Flags, Flags]:
    """With 3 channels asked for, as everybody does."""
    paths = tensorflow_decode_paths(manifest, _UPRIGHT)
    strict = _flags(pc.is_in(manifest.table["format"], pa.array(["WEBP", "JXL"])))
    fails = _flags(pc.is_valid(manifest.table["tensorflow"]))
    fails |= strict & np.isin(paths, (ALPHA, GREY))
    turned = orientations_to_undo(manifest, _UPRIGHT, paths) != UPRIGHT
    return fails, ~fails & ((paths != PLAIN) | turned)


def _flags(column: Any) -> Flags:
    return np.asarray(pc.fill_null(column, False).combine_chunks().to_numpy(False), np.bool_)
