"""What the machine could do if a loader cost nothing beside its one task, in a loader's form.

Each keeps all cores at the one task and gives a batch that is made already, so that it is timed
like any loader, in the same run.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from threading import local

import numpy as np
import psutil
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from feedbench.loaders import (
    Batch,
    Loader,
    Manifest,
    Request,
    Settings,
    SourceError,
    Stream,
)
from feedbench.loaders.contract import Dtype
from feedbench.loaders.cores import usable_cores
from feedbench.loaders.images.libjpeg import Decode, Scratch, decoded_jpeg
from feedbench.loaders.pack.pack import Pack

_HELD_SHARE = 0.25  # of the memory that is free, which a limit may hold
_HELD_BYTES = 1 << 30
_PIECE = 16  # images that a thread decodes at a time
Rows = NDArray[np.int64]


class Limit(Settings):
    """Knobs of every limit."""

    num_threads: PositiveInt | None = Field(None, description="one a core if none")

    @property
    def image_dtype(self) -> Dtype:
        """Type of the batches' images."""
        return "uint8"


class LibjpegTurbo(Limit):
    """Knobs of `libjpeg_turbo`."""

    decode: Decode = Field("full", description="full, or scaled as far as the batch allows")
    pack: str | None = Field(None, description="a pack whose JPEGs to decode, not the files")


def _decoding(request: Request, settings: LibjpegTurbo) -> Stream:
    """JPEGs in memory decoded into memory that is there, nothing else."""
    spec = request.spec
    files = _packed(settings.pack) if settings.pack else _files(request.manifest, spec.seed)
    scratch, scaled = Scratch(), settings.decode == "scaled"

    def work(rows: Rows) -> None:
        for row in rows.tolist():
            decoded_jpeg(files[row % len(files)], spec, scratch, scaled=scaled)

    return Stream(_worked(work, _PIECE, settings, request), faults=request.faults)


def _files(manifest: Manifest, seed: int) -> list[bytes]:
    """The bytes of JPEGs, in a random order, as many as may be held.

    Raises:
        SourceError: there is none.
    """
    rows = np.random.default_rng(seed).permutation(len(manifest))
    found = _held(Path(os.fsdecode(path)).read_bytes() for path in manifest.paths(rows))
    files = [data for data in found if data.startswith(b"\xff\xd8\xff")]
    if not files:
        raise SourceError("no JPEG among the files: libjpeg-turbo has nothing to decode")
    return files


def _packed(folder: str) -> list[bytes]:
    pack = Pack(Path(folder))
    try:
        return _held(pack.row_bytes(row) for row in pack.readable().tolist())
    finally:
        pack.close()


def _held(files: Iterator[bytes]) -> list[bytes]:
    held: list[bytes] = []
    left = _may_hold()
    for data in files:
        left -= len(data)
        if left < 0 and held:
            break
        held.append(data)
    return held


def _copying(request: Request, settings: Limit) -> Stream:
    """Images in memory gathered into batches in memory that is there."""
    spec = request.spec
    size = 3 * spec.image_size**2
    count = max(1, min(len(request.manifest), _may_hold() // size))
    images = np.full((count, size), 127, np.uint8)
    own = local()

    def work(rows: Rows) -> None:
        if not hasattr(own, "batch"):
            own.batch = np.empty((spec.batch_size, size), np.uint8)
        np.take(images, rows % count, axis=0, out=own.batch[: len(rows)], mode="clip")

    return Stream(_worked(work, spec.batch_size, settings, request), faults=request.faults)


def _worked(
    work: Callable[[Rows], None], piece: int, settings: Limit, request: Request
) -> Iterator[Batch]:
    """As many rows at a time as were worked at, on all threads."""
    threads, order = settings.num_threads or usable_cores(), request.order
    side, labels = request.spec.image_size, request.manifest.labels
    images = np.zeros((piece, side, side, 3), np.uint8)

    def done(rows: Rows) -> Rows:
        work(rows)
        return rows

    with ThreadPoolExecutor(threads) as pool:
        pieces = (order.rows(begin, end) for begin, end in order.chunks(piece))
        ahead = deque(pool.submit(done, rows) for rows in islice(pieces, 2 * threads))
        while ahead:
            rows = ahead.popleft().result()
            ahead.extend(pool.submit(done, more) for more in islice(pieces, 1))
            yield Batch(images[: len(rows)], labels[rows], rows)


def _may_hold() -> int:
    return int(min(_HELD_BYTES, psutil.virtual_memory().available * _HELD_SHARE))


LIBJPEG_TURBO = Loader(
    name="libjpeg_turbo",
    summary="libjpeg-turbo alone on all cores: a limit, not a choice",
    settings=LibjpegTurbo,
    open=_decoding,
    role="upper bound",
)
MEMORY_COPY = Loader(
    name="memory_copy",
    summary="images copied from memory into batches: a limit, not a choice",
    settings=Limit,
    open=_copying,
    role="upper bound",
    readable_by=(),
)
