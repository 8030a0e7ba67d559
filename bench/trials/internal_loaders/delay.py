"""A loader with a known delay in each part, with which the self-test checks the diagnosis."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from time import sleep, thread_time

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveInt

from feedbench.bench.trials.internal_loaders.settings import PixelSettings
from feedbench.loaders import (
    Batch,
    BatchSpec,
    Loader,
    Manifest,
    Order,
    Request,
    Rows,
    Stream,
    read_file,
)
from feedbench.loaders.stages import (
    IN_LINE,
    Concurrency,
    Run,
    Stages,
    on_processes,
    repeated,
    whole_files,
)

_DATA = bytes(16_384)  # hashlib releases the GIL for more than 2 kB


class Delays(PixelSettings):
    """Delay of each part, seconds per image."""

    read_s: NonNegativeFloat = Field(0.0, description="wait in reading a file")
    decode_s: NonNegativeFloat = Field(0.0, description="CPU time of decoding, without the GIL")
    locked_s: NonNegativeFloat = Field(
        0.0, description="CPU time of decoding while holding the GIL"
    )
    copy_s: NonNegativeFloat = Field(
        0.0, description="CPU time of copying a batch, without the GIL"
    )
    workers: PositiveInt = Field(1, description="threads; 1: the consumer's thread")


def _stages(manifest: Manifest, spec: BatchSpec, settings: Delays) -> Stages:
    """Return the parts to be measured alone; `locked_s` belongs to none of them."""

    def decode(cores: int) -> Run:
        return on_processes(lambda _: _work(settings.decode_s), 1, cores)

    def batch_copy(cores: int) -> Run:
        return repeated(_copied(settings.copy_s * spec.batch_size, spec.batch_size))

    return Stages(
        whole_files(manifest, _delayed_read(settings)),
        decode,
        batch_copy=batch_copy,
        concurrency=IN_LINE if settings.workers == 1 else Concurrency("threads", settings.workers),
    )


def _copied(seconds: float, size: int) -> Iterator[int]:
    while True:
        _work(seconds)
        yield size


def _delayed_read(settings: Delays) -> Callable[[bytes], int]:
    """Return a function that reads a file, after a wait of `read_s`, and returns its size."""

    def read(path: bytes) -> int:
        sleep(settings.read_s)
        return len(read_file(path))

    return read


def _work(seconds: float) -> None:
    """Use one core for some CPU seconds, mostly without holding the GIL."""
    end = thread_time() + seconds
    while thread_time() < end:
        hashlib.sha256(_DATA)


def _work_locked(seconds: float) -> None:
    """Use one core for some CPU seconds while holding the GIL."""
    end = thread_time() + seconds
    while thread_time() < end:
        pass


def _open(request: Request, settings: Delays) -> Stream:
    assembler, order = _Assembler(request, settings), request.order
    chunks = order.chunks(request.spec.batch_size)
    if settings.workers == 1:
        batches = (assembler.batch(order.rows(begin, end)) for begin, end in chunks)
        return Stream(batches, faults=request.faults)
    pool = _ThreadPool(assembler, order, chunks, settings.workers)
    return Stream(pool.batches(), pool.close, request.faults)


class _Assembler:
    """Makes batches of black images, with the delays."""

    def __init__(self, request: Request, settings: Delays) -> None:
        spec = request.spec
        self._manifest = request.manifest
        self._settings = settings
        self._read = _delayed_read(settings)
        self._images = np.zeros((spec.batch_size, spec.image_size, spec.image_size, 3), np.uint8)

    def batch(self, rows: Rows) -> Batch:
        for path in self._manifest.paths(rows):
            self._read(path)
            _work(self._settings.decode_s)
            _work_locked(self._settings.locked_s)
        _work(self._settings.copy_s * len(rows))
        return Batch(self._images[: len(rows)], self._manifest.labels[rows], rows)


class _ThreadPool:
    """Threads that prefetch up to one batch each; batches are not in order."""

    def __init__(
        self,
        assembler: _Assembler,
        order: Order,
        chunks: Iterable[tuple[int, int]],
        workers: int,
    ) -> None:
        self._assembler = assembler
        self._order = order
        self._chunks = iter(chunks)
        self._lock = threading.Lock()
        self._ready: queue.Queue[Batch] = queue.Queue(workers)
        self._closed = False
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def batches(self) -> Iterator[Batch]:
        while not self._closed:
            yield self._ready.get()

    def close(self) -> None:
        self._closed = True
        for thread in self._threads:
            while thread.is_alive():
                while not self._ready.empty():  # a thread may wait for a free place
                    self._ready.get()
                thread.join(0.01)

    def _run(self) -> None:
        while not self._closed:
            with self._lock:
                begin, end = next(self._chunks)
            self._ready.put(self._assembler.batch(self._order.rows(begin, end)))


DELAY = Loader(
    name="delay",
    summary="known delays in each part: for the self-test, not selectable",
    settings=Delays,
    open=_open,
    role="self-test",
    readable_by=(),
    stages=_stages,
)
