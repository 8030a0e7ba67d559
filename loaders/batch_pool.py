"""Threads that fill batches image by image, each image straight into the batch's own memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment import Draws
from feedbench.loaders.buffers import Buffers
from feedbench.loaders.contract import Batch, BatchSpec, Dtype
from feedbench.loaders.errors import ImageError
from feedbench.loaders.faults import Faults
from feedbench.loaders.images.host_augment import changer, ranged
from feedbench.loaders.order import Order, Rows

Pixels = NDArray[np.uint8]


class Source(Protocol):
    """Where the pictures come from; its methods are called on several threads at once."""

    def find(self, rows: Rows) -> Any:
        """What `load` needs to know of some rows, one item each."""

    def load(self, row: int, item: Any, into: Pixels) -> None:
        """Write one row's picture, uint8 `[side, side, 3]`.

        Raises:
            ImageError: the row cannot be read.
        """


@dataclass
class _Work:
    """One batch while it is made.

    Attributes:
        left: images that are not done yet.
        failed: what failed so far.
        error: what ended the run, if anything did.
    """

    order: Order
    begin: int
    end: int
    rows: Rows
    items: Any
    draws: Draws
    images: Pixels
    left: int
    failed: list[ImageError] = field(default_factory=list)
    made: Any = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


class BatchPool:
    """Gives the batches of an order; `close` ends its threads within the time of one image."""

    def __init__(
        self,
        source: Source,
        order: Order,
        faults: Faults,
        labels: NDArray[np.int32],
        spec: BatchSpec,
        output: Dtype,
        *,
        num_threads: int,
        prefetch: int,
        piece: int = 1,
    ) -> None:
        """Start the threads.

        Args:
            output: uint8 pixels, or float32 in the spec's range.
            prefetch: batches that are made ahead of the one that is waited for.
            piece: images that a thread takes at a time.
        """
        self._source = source
        self._order = order
        self._faults = faults
        self._labels = labels
        self._spec = spec
        self._change = changer(spec)
        self._output = output
        self._ahead = prefetch + 1
        self._piece = piece
        self._buffers = Buffers()
        self._tasks: deque[tuple[_Work, int]] = deque()
        self._ready = threading.Condition()
        self._open = True
        self._threads = [
            threading.Thread(target=self._run, name=f"feedbench-{number}", daemon=True)
            for number in range(num_threads)
        ]
        for thread in self._threads:
            thread.start()

    def batches(self) -> Iterator[Batch]:
        """The batches in order.

        Raises:
            LoaderError: an image cannot be read, and may not be dropped.
        """
        pieces = self._order.pieces(self._order.batch_size)
        works: deque[_Work] = deque()
        while True:
            while len(works) < self._ahead and (piece := next(pieces, None)):
                works.append(self._begun(*piece))
            if not works:
                return
            # An expression alone: a name would hold the batch until the next one is asked for.
            yield self._awaited(works.popleft())

    def close(self) -> None:
        """End the threads and give back their memory."""
        with self._ready:
            self._open = False
            self._tasks.clear()
            self._ready.notify_all()
        for thread in self._threads:
            thread.join()
        self._buffers.clear()

    def _awaited(self, work: _Work) -> Batch:
        work.done.wait()
        if work.error is not None:
            raise work.error
        if work.failed:
            for fault in work.failed:
                self._faults.meet(fault)
            self._order = self._order.without(fault.row for fault in work.failed)
        changes = self._spec.augment.for_device(work.draws, self._spec.image_size)
        return Batch(work.made, self._labels[work.rows], work.rows, changes)

    def _begun(self, begin: int, end: int) -> _Work:
        rows = self._order.rows(begin, end)
        items = self._source.find(rows)
        draws = self._order.draws(begin, end)
        side = self._spec.image_size
        images = self._buffers.fresh((len(rows), side, side, 3))
        work = _Work(self._order, begin, end, rows, items, draws, images, len(rows))
        with self._ready:
            self._tasks.extend((work, first) for first in range(0, len(rows), self._piece))
            self._ready.notify_all()
        return work

    def _run(self) -> None:
        while (task := self._next()) is not None:
            work, first = task
            try:
                self._do(work, first, min(first + self._piece, len(work.rows)))
            except BaseException as error:  # whatever it is, the consumer must not wait for ever
                work.error = error
                work.done.set()
            del task, work  # no thread that waits may hold a batch's memory

    def _do(self, work: _Work, first: int, last: int) -> None:
        if work.error is not None:
            return
        self._load(work, first, last)
        with self._ready:
            work.left -= last - first
            complete = not work.left
        if complete:
            self._complete(work)

    def _next(self) -> tuple[_Work, int] | None:
        with self._ready:
            while self._open and not self._tasks:
                self._ready.wait()
            return self._tasks.popleft() if self._open else None

    def _load(self, work: _Work, first: int, last: int) -> None:
        for index in range(first, last):
            try:
                self._source.load(int(work.rows[index]), work.items[index], work.images[index])
            except ImageError as error:
                with self._ready:
                    work.failed.append(error)
                    failed = len(work.failed)
                self._faults.tolerance.hold(failed, error)
        self._change(work.images[first:last], work.draws[first:last])

    def _complete(self, work: _Work) -> None:
        while work.failed:
            work.order = work.order.without(fault.row for fault in work.failed)
            if not self._mended(work):
                break
        work.made = work.images
        if self._output == "float32":
            work.made = ranged(work.images.astype(np.float32), self._spec)
        work.done.set()

    def _mended(self, work: _Work) -> bool:
        """Load what takes the place of failed rows; whether any of that failed too."""
        before, failed = work.rows, len(work.failed)
        work.rows = work.order.rows(work.begin, work.end)
        work.items = self._source.find(work.rows)
        work.draws = work.order.draws(work.begin, work.end)
        for index in np.flatnonzero(work.rows != before).tolist():
            self._load(work, index, index + 1)
        return len(work.failed) > failed
