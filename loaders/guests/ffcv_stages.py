"""The parts of FFCV's loader: its file, the decoders on it, and the copy of its batches."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment.draws import UNCHANGED
from feedbench.loaders.contract import BatchSpec, Request
from feedbench.loaders.guests.beton import IMAGES, Beton, opened
from feedbench.loaders.guests.ffcv_batches import Batches, Ffcv, about_of
from feedbench.loaders.guests.finish import Finish
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Order, Rows
from feedbench.loaders.stages.draws import drawn
from feedbench.loaders.stages.stage import Concurrency, Reading, Run, Stages, Timed, repeated

_PAGE = 4096  # bytes of memory that the system maps at a time


def ffcv_stages(manifest: Manifest, spec: BatchSpec, settings: Ffcv) -> Stages:
    """Reading from the file, the compiled decoders on it, and the copy of batches if there is one.

    The decoders read what they decode: they are measured with the file in the page cache.
    """
    work = _Work(manifest, spec, settings)
    changes = settings.output == "float32" or bool(spec.augment.on_host)
    return Stages(
        Reading(work.find, work.read, work.size, needs_all_rows=True),
        work.decode,
        batch_copy=work.batch_copy if settings.copy_batches or changes else None,
        concurrency=Concurrency("pipelined", settings.num_workers),
    )


class _Work:
    """What FFCV's loader does with its file, which is written when it is used first."""

    def __init__(self, manifest: Manifest, spec: BatchSpec, settings: Ffcv) -> None:
        self._manifest, self._spec, self._settings = manifest, spec, settings

    @property
    def size(self) -> int:
        """The bytes of the file; of one that is not written yet, at most that of its pixels."""
        about = about_of(self._manifest, self._spec, self._settings)
        file = about.folder(Path(str(self._settings.pack_dir))) / IMAGES
        pixels = len(self._manifest) * 3 * self._settings.max_resolution**2
        return file.stat().st_size if file.is_file() else pixels

    def find(self, rows: Rows) -> list[tuple[int, int]]:
        """Return where in the file the bytes of some rows begin, and how many there are."""
        from ffcv.reader import Reader

        table = Reader(str(self._beton.path)).alloc_table
        chosen = table[np.argsort(table["sample_id"])[rows]]
        return list(zip(chosen["ptr"].tolist(), chosen["size"].tolist(), strict=True))

    def read(self, place: tuple[int, int]) -> int:
        """Touch each page of a row, as the decoders do with the mapped file."""
        begin, size = place
        self._mapped[begin : begin + size : _PAGE].sum()
        return size

    def decode(self, cores: int) -> Run:
        """Have FFCV make batches, on as many threads as cores, without a copy.

        Its thread ends with each run: two at a time may share Numba's threads, which end the
        process then.
        """
        settings = {"num_workers": cores, "copy_batches": False, "output": "uint8"}
        spec = self._spec.model_copy(update={"augment": UNCHANGED})
        order = Order(len(self._manifest), spec.batch_size, epochs=None)
        request = Request(self._manifest, spec, order)
        batches = Batches(self._beton, request, self._settings.model_copy(update=settings))

        def run(seconds: float) -> Timed:
            stream, images = batches.batches(), 0
            next(stream)  # of which FFCV's thread is started, and its memory allocated
            begin = perf_counter()
            for batch in stream:
                images += len(batch.rows)
                if perf_counter() - begin >= seconds:
                    break
            elapsed = perf_counter() - begin
            batches.stop()
            return Timed(images, elapsed)

        return run

    def batch_copy(self, cores: int) -> Run:
        """Copy a batch, and do what is left to the host; on one core."""
        return repeated(self._copied())

    def _copied(self) -> Iterator[int]:
        size, side = self._spec.batch_size, self._spec.image_size
        finish, draws = Finish(self._spec, self._settings.output), drawn(size, self._spec)
        batch = np.full((size, side, side, 3), 127, np.uint8)
        copies = self._settings.copy_batches and self._settings.output == "uint8"
        while True:
            finish(batch.copy() if copies else batch, draws)
            yield size

    @cached_property
    def _beton(self) -> Beton:
        about = about_of(self._manifest, self._spec, self._settings)
        return opened(Path(str(self._settings.pack_dir)), about, self._manifest, self._spec)

    @cached_property
    def _mapped(self) -> NDArray[np.uint8]:
        return np.memmap(self._beton.path, np.uint8, "r")
