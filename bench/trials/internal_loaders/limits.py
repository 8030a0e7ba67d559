"""Upper bounds as loaders: decoding alone and copying alone, on all cores.

Each does one kind of work for every row and then yields a batch that was prepared beforehand. As a
loader it can be timed in the same run as the loaders that it bounds.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from threading import local

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PositiveInt

from feedbench.bench.trials.internal_loaders.settings import PixelSettings
from feedbench.loaders import (
    Batch,
    Loader,
    Manifest,
    Request,
    SourceError,
    Stream,
    available_memory,
    read_file,
    usable_cores,
)
from feedbench.loaders.images import Decode, Scratch, decoded_jpeg
from feedbench.loaders.pack import Pack

_MEMORY_FRACTION = 0.25  # of the available memory that images may use
_MAX_BYTES = 1 << 30
_CHUNK = 16  # images that a thread decodes at a time
Rows = NDArray[np.int64]


class UpperBoundSettings(PixelSettings):
    """Settings of all upper bounds."""

    num_threads: PositiveInt | None = Field(None, description="Threads; default: one per core.")


class LibjpegTurboSettings(UpperBoundSettings):
    """Settings of `libjpeg_turbo`."""

    decode: Decode = Field("full", description="full, or scaled as far as the batch allows")
    pack: str | None = Field(None, description="a pack whose JPEGs to decode instead of the files")


def _open_decoding(request: Request, settings: LibjpegTurboSettings) -> Stream:
    """Decode JPEGs from memory into recycled memory."""
    spec = request.spec
    jpegs = _pack_jpegs(settings.pack) if settings.pack else _jpegs(request.manifest, spec.seed)
    scratch, scaled = Scratch(), settings.decode == "scaled"

    def decode(rows: Rows) -> None:
        for row in rows.tolist():
            decoded_jpeg(jpegs[row % len(jpegs)], spec, scratch, scaled=scaled)

    return Stream(_batches(decode, _CHUNK, settings, request), faults=request.faults)


def _jpegs(manifest: Manifest, seed: int) -> list[bytes]:
    """Read JPEG files in a random order, as many as fit into the memory limit.

    Raises:
        SourceError: none of the files is a JPEG.
    """
    rows = np.random.default_rng(seed).permutation(len(manifest))
    files = _up_to_limit(read_file(path) for path in manifest.paths(rows))
    jpegs = [data for data in files if data.startswith(b"\xff\xd8\xff")]
    if not jpegs:
        raise SourceError("no JPEG among the files, so libjpeg-turbo has nothing to decode")
    return jpegs


def _pack_jpegs(folder: str) -> list[bytes]:
    pack = Pack(Path(folder))
    try:
        return _up_to_limit(pack.row_bytes(row) for row in pack.readable().tolist())
    finally:
        pack.close()


def _up_to_limit(files: Iterator[bytes]) -> list[bytes]:
    """Take files until the memory limit is reached, but at least one."""
    taken: list[bytes] = []
    remaining = _memory_limit()
    for data in files:
        remaining -= len(data)
        if remaining < 0 and taken:
            break
        taken.append(data)
    return taken


def _open_copying(request: Request, settings: UpperBoundSettings) -> Stream:
    """Copy images from memory into one batch buffer per thread."""
    spec = request.spec
    size = 3 * spec.image_size**2
    count = max(1, min(len(request.manifest), _memory_limit() // size))
    images = np.full((count, size), 127, np.uint8)
    thread = local()

    def copy(rows: Rows) -> None:
        if not hasattr(thread, "buffer"):
            thread.buffer = np.empty((spec.batch_size, size), np.uint8)
        np.take(images, rows % count, axis=0, out=thread.buffer[: len(rows)], mode="clip")

    return Stream(_batches(copy, spec.batch_size, settings, request), faults=request.faults)


def _batches(
    work: Callable[[Rows], None], chunk: int, settings: UpperBoundSettings, request: Request
) -> Iterator[Batch]:
    """Work on all rows on all threads; yield a batch of black images for each finished chunk."""
    threads, order = settings.num_threads or usable_cores(), request.order
    side, labels = request.spec.image_size, request.manifest.labels
    images = np.zeros((chunk, side, side, 3), np.uint8)

    def process(rows: Rows) -> Rows:
        work(rows)
        return rows

    with ThreadPoolExecutor(threads) as pool:
        chunks = (order.rows(begin, end) for begin, end in order.chunks(chunk))
        ahead = deque(pool.submit(process, rows) for rows in islice(chunks, 2 * threads))
        while ahead:
            rows = ahead.popleft().result()
            ahead.extend(pool.submit(process, more) for more in islice(chunks, 1))
            yield Batch(images[: len(rows)], labels[rows], rows)


def _memory_limit() -> int:
    return int(min(_MAX_BYTES, available_memory() * _MEMORY_FRACTION))


LIBJPEG_TURBO = Loader(
    name="libjpeg_turbo",
    summary="libjpeg-turbo alone on all cores: an upper bound, not selectable",
    settings=LibjpegTurboSettings,
    open=_open_decoding,
    role="upper bound",
)
MEMORY_COPY = Loader(
    name="memory_copy",
    summary="copies of images in memory: an upper bound, not selectable",
    settings=UpperBoundSettings,
    open=_open_copying,
    role="upper bound",
    readable_by=(),
)
