"""A loader whose every part takes a known time: what the self-test feeds to the diagnosis."""

from __future__ import annotations

import hashlib
import os
import queue
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from time import sleep, thread_time
from typing import Any

import numpy as np
from pydantic import Field, NonNegativeFloat, PositiveInt

from feedbench.loaders import Batch, BatchSpec, Loader, Manifest, Order, Request, Settings, Stream
from feedbench.loaders.contract import Dtype
from feedbench.loaders.stages.stage import Run, Stages, on_processes, repeated, whole_files

_PIECE = bytes(16_384)  # hashlib lets other threads run while it works at more than 2 kB


class Delays(Settings):
    """Seconds that each part takes for an image."""

    read_s: NonNegativeFloat = Field(0.0, description="reading a file waits so long")
    decode_s: NonNegativeFloat = Field(0.0, description="one core's time, without Python's lock")
    locked_s: NonNegativeFloat = Field(0.0, description="the same while holding Python's lock")
    copy_s: NonNegativeFloat = Field(0.0, description="one core's time, when a batch is made")
    workers: PositiveInt = Field(1, description="threads; 1 works in line")

    @property
    def image_dtype(self) -> Dtype:
        """Type of the batches' images."""
        return "uint8"


def _stages(manifest: Manifest, spec: BatchSpec, settings: Delays) -> Stages:
    """The same parts, each alone; the lock belongs to none of them."""

    def decode(cores: int) -> Run:
        return on_processes(lambda _: _work(settings.decode_s), 1, cores)

    def assemble(cores: int) -> Run:
        return repeated(_batches(settings.copy_s * spec.batch_size, spec.batch_size))

    return Stages(whole_files(manifest, _throttled(settings)), decode, assemble=assemble)


def _batches(seconds: float, size: int) -> Iterator[int]:
    while True:
        _work(seconds)
        yield size


def _throttled(settings: Delays) -> Callable[[bytes], int]:
    """A reader of files that takes `read_s` longer for each."""

    def read(path: bytes) -> int:
        sleep(settings.read_s)
        return len(Path(os.fsdecode(path)).read_bytes())

    return read


def _work(seconds: float) -> None:
    """Use one core for so long, without holding Python's lock for most of it."""
    end = thread_time() + seconds
    while thread_time() < end:
        hashlib.sha256(_PIECE)


def _hold(seconds: float) -> None:
    """Use one core for so long, in Python: no other thread of Python gets on."""
    end = thread_time() + seconds
    while thread_time() < end:
        pass


def _open(request: Request, settings: Delays) -> Stream:
    order, faults = request.order, request.faults
    maker = _Maker(request.manifest, request.spec, settings)
    pieces = order.chunks(request.spec.batch_size)
    if settings.workers == 1:
        made = (maker.batch(order.rows(begin, end)) for begin, end in pieces)
        return Stream(made, faults=faults)
    crew = _Crew(maker, order, pieces, settings.workers)
    return Stream(crew.batches(), crew.close, faults)


class _Maker:
    def __init__(self, manifest: Manifest, spec: BatchSpec, settings: Delays) -> None:
        self._manifest = manifest
        self._settings = settings
        self._read = _throttled(settings)
        self._images = np.zeros((spec.batch_size, spec.image_size, spec.image_size, 3), np.uint8)

    def batch(self, rows: Any) -> Batch:
        for path in self._manifest.paths(rows):
            self._read(path)
            _work(self._settings.decode_s)
            _hold(self._settings.locked_s)
        _work(self._settings.copy_s * len(rows))
        return Batch(self._images[: len(rows)], self._manifest.labels[rows], rows)


class _Crew:
    """Threads that make batches ahead; a few wait ready."""

    def __init__(self, maker: _Maker, order: Order, pieces: Any, workers: int) -> None:
        self._maker = maker
        self._order = order
        self._pieces = iter(pieces)
        self._lock = threading.Lock()
        self._ready: queue.Queue[Batch] = queue.Queue(workers)
        self._closed = False
        self._threads = [threading.Thread(target=self._make, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def batches(self) -> Iterator[Batch]:
        while not self._closed:
            yield self._ready.get()

    def close(self) -> None:
        self._closed = True
        for thread in self._threads:
            while thread.is_alive():
                while not self._ready.empty():
                    self._ready.get()
                thread.join(0.01)

    def _make(self) -> None:
        while not self._closed:
            with self._lock:
                begin, end = next(self._pieces)
            self._ready.put(self._maker.batch(self._order.rows(begin, end)))


DELAY = Loader(
    name="delay",
    summary="known delays in every part: for the self-test alone",
    settings=Delays,
    open=_open,
    role="self-test",
    readable_by=(),
    stages=_stages,
)
