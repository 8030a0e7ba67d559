"""How each row is decoded, decided from the audit: plain files pay nothing for the others.

All decode paths give the same image, that of `images.pillow`.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feedbench.loaders.capabilities import AuditColumn
from feedbench.loaders.errors import SpecError, printable
from feedbench.loaders.images.pillow import UPRIGHT
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.spec import BatchSpec

PLAIN, ALPHA, GREY, PILLOW = range(4)
DECODE_PATHS = 4
DecodePaths = NDArray[np.int8]

NOT_SCANNED = (
    "orientation='apply' needs the EXIF orientation of each file: run feedbench scan on the data "
    "first, or use orientation='ignore'"
)
ALPHA_FORMATS = ["PNG", "WEBP", "JXL"]  # that TensorFlow decodes with their alpha


def readable(manifest: Manifest, columns: tuple[AuditColumn, ...]) -> Any:
    """Boolean column: rows that one of these decoders reads; unaudited rows count as readable."""
    return reduce(pc.or_, (pc.is_null(manifest.table[column]) for column in columns))


def pillow_decode_paths(
    manifest: Manifest, spec: BatchSpec, *, by_others: bool = False
) -> DecodePaths:
    """int8 `[rows]`: PILLOW where Keras' `load_img` would give another image, else PLAIN.

    Args:
        by_others: what is plain is decoded by others than Pillow, which may show damage and missing
            parts in their own way.
    """
    if not manifest.audited:
        return _unaudited(manifest, spec)
    _check_orientations(manifest, spec)
    plain = _plain_for_pillow(manifest.table, spec) | unseen(manifest)
    if by_others:
        plain &= _filled(manifest.table["same_pixels"], True)
    return np.where(plain, PLAIN, PILLOW).astype(np.int8)


def tensorflow_decode_paths(manifest: Manifest, spec: BatchSpec) -> DecodePaths:
    """int8 `[rows]`: TensorFlow's decoder with 3 channels, with 4 or with 1; or Pillow."""
    if not manifest.audited:
        return _unaudited(manifest, spec)
    _check_orientations(manifest, spec)
    table = manifest.table
    paths = np.full(len(manifest), PILLOW, np.int8)
    decodable = _filled(pc.is_null(table["tensorflow"]), True)
    is_still = _numbers(table, "frames", 1) == 1
    simple = decodable & (_numbers(table, "bits", 8) <= 8) & is_still
    has_alpha = _filled(table["alpha"], False)
    decoded_with_alpha = has_alpha & _is_format(table, ALPHA_FORMATS)
    paths[simple & decoded_with_alpha] = ALPHA
    # TensorFlow reads the first frame of a GIF and of an MPO, but no other animation.
    animated = decodable & _is_format(table, ["GIF", "MPO"])
    paths[(simple | animated) & ~has_alpha & _same_colours(table)] = PLAIN
    is_grey = _filled(pc.equal(table["mode"], "L"), False)
    paths[~_filled(table["same_pixels"], True)] = PILLOW  # a damaged file
    only_tensorflow = decodable & _filled(pc.is_valid(table["pillow"]), False)
    paths[only_tensorflow] = np.where(decoded_with_alpha, ALPHA, PLAIN)[only_tensorflow]
    paths[decodable & _is_format(table, ["JXL"]) & is_grey] = GREY
    paths[unseen(manifest)] = PLAIN
    return paths


def unseen(manifest: Manifest) -> NDArray[np.bool_]:
    """Boolean `[rows]`: files that no audit has read as they are now."""
    if not manifest.audited:
        return np.ones(len(manifest), np.bool_)
    return _filled(pc.is_null(manifest.table["bytes"]), True)


def orientations_to_undo(
    manifest: Manifest, spec: BatchSpec, decode_paths: DecodePaths
) -> DecodePaths:
    """int8 `[rows]`: the EXIF orientation that a graph has to undo, 1 if there is none."""
    if spec.orientation == "ignore":
        return np.full(len(manifest), UPRIGHT, np.int8)
    stored = _numbers(manifest.table, "orientation", UPRIGHT).astype(np.int8)
    return np.where(decode_paths == PILLOW, np.int8(UPRIGHT), stored)


def _unaudited(manifest: Manifest, spec: BatchSpec) -> DecodePaths:
    if spec.orientation == "apply":
        raise SpecError(NOT_SCANNED)
    return np.full(len(manifest), PLAIN, np.int8)


def _check_orientations(manifest: Manifest, spec: BatchSpec) -> None:
    """Refuse to turn photos of which some are newer than the scan.

    Raises:
        SpecError: the orientation of a row is unknown.
    """
    unknown = np.flatnonzero(unseen(manifest))
    if spec.orientation == "apply" and len(unknown):
        name = printable(manifest.name(int(unknown[0])))
        others = f" (as are {len(unknown) - 1:,} others)" if len(unknown) > 1 else ""
        raise SpecError(
            f"orientation='apply' needs the EXIF orientation of each file, and {name} is new or "
            f"changed since the scan{others}: run feedbench scan again, or use orientation='ignore'"
        )


def _same_colours(table: pa.Table) -> NDArray[np.bool_]:
    """Where TensorFlow decodes to the same 3 channels as Pillow; not so for palettes in a BMP."""
    common = _is_format(table, ["JPEG", "MPO", "PNG", "GIF", "WEBP"])
    is_rgb = _filled(pc.equal(table["mode"], "RGB"), False)
    is_grey = _filled(pc.equal(table["mode"], "L"), False)
    bmp = _is_format(table, ["BMP"]) & (is_rgb | is_grey)
    return common | bmp | (_is_format(table, ["JXL"]) & is_rgb)


def _plain_for_pillow(table: pa.Table, spec: BatchSpec) -> NDArray[np.bool_]:
    upright = _numbers(table, "orientation", UPRIGHT) == UPRIGHT
    if spec.orientation == "ignore":  # load_img ignores it too, except for TIFF: Pillow turns these
        upright |= ~_is_format(table, ["TIFF"])
    deep = _numbers(table, "bits", 8) > 8
    plain: NDArray[np.bool_] = upright & ~deep & ~_filled(table["alpha"], False)
    return plain


def _is_format(table: pa.Table, formats: list[str]) -> NDArray[np.bool_]:
    return _filled(pc.is_in(table["format"], pa.array(formats)), False)


def _filled(column: Any, default: bool) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(column, default).combine_chunks().to_numpy(False), np.bool_)


def _numbers(table: pa.Table, name: str, default: int) -> NDArray[Any]:
    return np.asarray(pc.fill_null(table[name], default).combine_chunks().to_numpy())
