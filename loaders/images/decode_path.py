"""Which way each row is decoded: told by the audit, so that a plain file pays nothing.

Every way ends in the same picture, that of `pillow_image`.
"""

from __future__ import annotations

from functools import reduce
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from feedbench.loaders.capabilities import AuditColumn
from feedbench.loaders.contract import BatchSpec
from feedbench.loaders.errors import SpecError
from feedbench.loaders.images.pillow import UPRIGHT
from feedbench.loaders.manifest import Manifest

PLAIN, ALPHA, GREY, PILLOW = range(4)
WAYS = 4
Ways = NDArray[np.int8]

OWN_ALPHA = ["PNG", "WEBP", "JXL"]  # formats that TensorFlow decodes with their alpha


def readable(manifest: Manifest, columns: tuple[AuditColumn, ...]) -> Any:
    """Boolean column: the rows that one of these decoders reads; new rows are believed."""
    return reduce(pc.or_, (pc.is_null(manifest.table[column]) for column in columns))


def pillow_ways(manifest: Manifest, spec: BatchSpec) -> Ways:
    """int8 `[rows]`: PILLOW where Keras' `load_img` would give another picture, PLAIN elsewhere."""
    if not manifest.audited:
        return _unaudited(manifest, spec)
    return np.where(_plain_for_pillow(manifest.table, spec), PLAIN, PILLOW).astype(np.int8)


def tensorflow_ways(manifest: Manifest, spec: BatchSpec) -> Ways:
    """int8 `[rows]`: by the format's own operation with 3 channels, 4 or 1; or by Pillow."""
    if not manifest.audited:
        return _unaudited(manifest, spec)
    table = manifest.table
    ways = np.full(len(manifest), PILLOW, np.int8)
    able = _known(pc.is_null(table["tensorflow"]), True)
    still = able & (_numbers(table, "bits", 8) <= 8) & (_numbers(table, "frames", 1) == 1)
    veiled = _known(table["alpha"], False)
    kind = table["format"]
    ways[still & veiled & _known(pc.is_in(kind, pa.array(OWN_ALPHA)), False)] = ALPHA
    # TensorFlow reads the first frame of a GIF and of many JPEGs in one file, of others none.
    moving = able & _known(pc.is_in(kind, pa.array(["GIF", "MPO"])), False)
    ways[(still | moving) & ~veiled & _own_colours(table)] = PLAIN
    jxl = _known(pc.equal(kind, "JXL"), False)
    ways[able & jxl & _known(pc.equal(table["mode"], "L"), False)] = GREY
    ways[_new(table)] = PLAIN
    return ways


def turns(manifest: Manifest, spec: BatchSpec, ways: Ways) -> Ways:
    """int8 `[rows]`: the EXIF orientation that a graph has to undo, 1 where there is none."""
    if spec.orientation == "ignore":
        return np.full(len(manifest), UPRIGHT, np.int8)
    stored = _numbers(manifest.table, "orientation", UPRIGHT).astype(np.int8)
    return np.where(ways == PILLOW, np.int8(UPRIGHT), stored)


def _unaudited(manifest: Manifest, spec: BatchSpec) -> Ways:
    if spec.orientation == "apply":
        raise SpecError(
            "orientation='apply' needs to know how each photograph was held: run feedbench scan "
            "on the data first, or take orientation='ignore'"
        )
    return np.full(len(manifest), PLAIN, np.int8)


def _own_colours(table: pa.Table) -> NDArray[np.bool_]:
    """What TensorFlow decodes to 3 channels as Pillow does; palettes in a BMP it gets wrong."""
    common = _known(
        pc.is_in(table["format"], pa.array(["JPEG", "MPO", "PNG", "GIF", "WEBP"])), False
    )
    full = _known(pc.is_in(table["mode"], pa.array(["RGB", "L"])), False)
    bmp = _known(pc.equal(table["format"], "BMP"), False) & full
    jxl = _known(pc.equal(table["format"], "JXL"), False) & _known(
        pc.equal(table["mode"], "RGB"), False
    )
    return common | bmp | jxl


def _plain_for_pillow(table: pa.Table, spec: BatchSpec) -> NDArray[np.bool_]:
    upright = _numbers(table, "orientation", UPRIGHT) == UPRIGHT
    if spec.orientation == "ignore":  # load_img ignores it too, but for TIFF, which Pillow turns
        upright |= ~_known(pc.equal(table["format"], "TIFF"), False)
    deep = _numbers(table, "bits", 8) > 8
    plain: NDArray[np.bool_] = upright & ~deep & ~_known(table["alpha"], False)
    return plain | _new(table)


def _new(table: pa.Table) -> NDArray[np.bool_]:
    """Rows that no audit has seen yet."""
    return _known(pc.is_null(table["bytes"]), True)


def _known(column: Any, otherwise: bool) -> NDArray[np.bool_]:
    return np.asarray(pc.fill_null(column, otherwise).combine_chunks().to_numpy(False), np.bool_)


def _numbers(table: pa.Table, name: str, otherwise: int) -> NDArray[Any]:
    return np.asarray(pc.fill_null(table[name], otherwise).combine_chunks().to_numpy())
