"""Threads that fill batches image by image, each image straight into the batch's own memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from math import ceil
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment.draws import Draws
from feedbench.loaders.augment.host import augmenter, to_range
from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.buffers import Buffers
from feedbench.loaders.contract import Batch, Request, Stream
from feedbench.loaders.cores import usable_cores
from feedbench.loaders.errors import ImageError, SpecError
from feedbench.loaders.images.resize import disable_opencv_threads
from feedbench.loaders.order import Order, Rows
from feedbench.loaders.settings import Threaded

Pixels = NDArray[np.uint8]


class Source(Protocol):
    """Where decoded images come from; its methods are called on several threads at once."""

    def find(self, rows: Rows) -> Any:
        """What `load` needs to know about these rows, one item per row."""

    def load(self, row: int, item: Any, into: Pixels) -> None:
        """Write the image of one row, uint8 `[side, side, 3]`.

        Raises:
            ImageError: the row cannot be read.
        """


@runtime_checkable
class RowsSource(Source, Protocol):
    """A source that can also load several images with fewer calls than one by one."""

    def load_rows(self, rows: Rows, items: Any, into: Pixels, crops: Crops | None) -> Iterable[int]:
        """Write the images of some rows, uint8 `[rows, side, side, 3]`.

        Args:
            crops: the region to cut out of each image; None for whole images.

        Returns:
            The places of the rows that are left to be loaded one by one, such as those that fail.
        """


@runtime_checkable
class RegionSource(Source, Protocol):
    """A source that can also cut random-resized crops."""

    def load_region(self, row: int, item: Any, into: Pixels, crop: Crops) -> None:
        """Write a region of the image of one row, stretched to `[side, side, 3]`.

        Raises:
            ImageError: the row cannot be read.
        """


def pool_stream(
    source: Source,
    request: Request,
    settings: Threaded,
    *,
    chunk: int,
    stop: Callable[[], None] = lambda: None,
    close: Callable[[], None] = lambda: None,
) -> Stream:
    """Batches that a pool of threads fills from a source.

    Args:
        chunk: images that a thread takes at a time; with more, it waits for the lock less often.
        stop: stops what the threads may wait for; called before they end.
        close: frees the source; called after the threads have ended.

    Raises:
        SpecError: the spec asks for random-resized crops, which the source cannot cut.
    """
    crops = request.spec.augment.random_resized_crop is not None
    if crops and not isinstance(source, RegionSource):
        raise SpecError("random_resized_crop: this loader gives whole images only; leave it out")
    disable_opencv_threads()
    pool = BatchPool(source, request, settings, chunk)

    def release() -> None:
        stop()
        pool.close()
        close()

    return Stream(pool.batches(), release, request.faults)


def batches_ahead(prefetch: int, threads: int, chunk: int, batch_size: int) -> int:
    """Return how many batches are filled at a time.

    Enough for two pieces of work per thread: with one, a thread that has finished its piece waits
    until the consumer has taken a batch. Without `prefetch` only the batch that is awaited.
    """
    if not prefetch:
        return 1
    pieces = ceil(batch_size / chunk)  # per batch
    return max(prefetch + 1, ceil(2 * threads / pieces))


@dataclass
class _Pending:
    """A batch that is being filled.

    Attributes:
        order: positions `begin` to `end` of it make the batch.
        crops: the region to cut out of each image; None for whole images.
        remaining: images that are not done yet.
        failed: the images that failed so far.
        result: the finished images.
        error: what ended the run, if anything did.
    """

    order: Order
    begin: int
    end: int
    rows: Rows
    items: Any
    draws: Draws
    crops: Crops | None
    images: Pixels
    remaining: int
    failed: list[ImageError] = field(default_factory=list)
    result: Any = None
    error: BaseException | None = None
    done: threading.Event = field(default_factory=threading.Event)


class BatchPool:
    """Fills the batches of an order; `close` ends its threads within the time of one image."""

    def __init__(self, source: Source, request: Request, settings: Threaded, chunk: int) -> None:
        """Start the threads."""
        self._source = source
        self._regions = cast("RegionSource", source)
        self._at_once = source if isinstance(source, RowsSource) else None
        self._request = request
        self._order = request.order
        self._augment = augmenter(request.spec)
        self._output = settings.output
        count = settings.num_threads or usable_cores()
        self._ahead = batches_ahead(settings.prefetch, count, chunk, request.spec.batch_size)
        self._chunk = chunk
        self._buffers, self._float_buffers = Buffers(), Buffers()
        self._tasks: deque[tuple[_Pending, int]] = deque()
        self._ready = threading.Condition()
        self._open = True
        self._threads = [
            threading.Thread(target=self._work, name=f"feedbench-{number}", daemon=True)
            for number in range(count)
        ]
        for thread in self._threads:
            thread.start()

    def batches(self) -> Iterator[Batch]:
        """The batches in order.

        Raises:
            LoaderError: an image cannot be read and may not be dropped.
        """
        positions = self._order.chunks(self._order.batch_size)
        pending: deque[_Pending] = deque()
        while True:
            while len(pending) < self._ahead and (span := next(positions, None)):
                pending.append(self._start(*span))
            if not pending:
                return
            # An expression alone: a name would hold the batch until the next one is asked for.
            yield self._wait(pending.popleft())

    def close(self) -> None:
        """End the threads and free their memory."""
        with self._ready:
            self._open = False
            self._tasks.clear()
            self._ready.notify_all()
        for thread in self._threads:
            thread.join()
        self._buffers.clear()
        self._float_buffers.clear()

    def _start(self, begin: int, end: int) -> _Pending:
        """Hand the images of a batch to the threads."""
        rows = self._order.rows(begin, end)
        items = self._source.find(rows)
        draws, crops = self._order.draws(begin, end), self._order.crops(begin, end)
        side = self._request.spec.image_size
        images = self._buffers.allocate((len(rows), side, side, 3))
        batch = _Pending(self._order, begin, end, rows, items, draws, crops, images, len(rows))
        with self._ready:
            self._tasks.extend((batch, first) for first in range(0, len(rows), self._chunk))
            self._ready.notify_all()
        return batch

    def _wait(self, batch: _Pending) -> Batch:
        """The batch, once it is complete."""
        batch.done.wait()
        if batch.error is not None:
            raise batch.error
        if batch.failed:
            for fault in batch.failed:
                self._request.faults.add(fault)
            self._order = self._order.without(fault.row for fault in batch.failed)
        return self._request.batch(batch.result, batch.rows, batch.draws)

    def _work(self) -> None:
        """What each thread runs."""
        while (task := self._next()) is not None:
            batch, first = task
            try:
                self._fill(batch, first, min(first + self._chunk, len(batch.rows)))
            except BaseException as error:  # whatever it is, the consumer must not wait forever
                batch.error = error
                batch.done.set()
            del task, batch  # a thread that waits must not hold a batch's memory

    def _next(self) -> tuple[_Pending, int] | None:
        with self._ready:
            while self._open and not self._tasks:
                self._ready.wait()
            return self._tasks.popleft() if self._open else None

    def _fill(self, batch: _Pending, first: int, last: int) -> None:
        if batch.error is not None:
            return
        self._load(batch, first, last)
        with self._ready:
            batch.remaining -= last - first
            is_last = not batch.remaining
        if is_last:
            self._complete(batch)

    def _load(self, batch: _Pending, first: int, last: int) -> None:
        for index in self._left_of(batch, first, last):
            try:
                self._load_one(batch, index)
            except ImageError as error:
                with self._ready:
                    batch.failed.append(error)
                    failed = len({fault.row for fault in batch.failed})
                self._request.faults.tolerance.check(failed, error)
        self._augment(batch.images[first:last], batch.draws[first:last])

    def _left_of(self, batch: _Pending, first: int, last: int) -> Iterable[int]:
        """Load images at once where the source can, and return the indices of those left."""
        if self._at_once is None:
            return range(first, last)
        part = slice(first, last)
        crops = None if batch.crops is None else batch.crops[part]
        rows, items, images = batch.rows[part], batch.items[part], batch.images[part]
        return [first + place for place in self._at_once.load_rows(rows, items, images, crops)]

    def _load_one(self, batch: _Pending, index: int) -> None:
        row, item, into = int(batch.rows[index]), batch.items[index], batch.images[index]
        if batch.crops is None:
            self._source.load(row, item, into)
        else:
            self._regions.load_region(row, item, into, batch.crops[index])

    def _complete(self, batch: _Pending) -> None:
        while batch.failed:
            batch.order = batch.order.without(fault.row for fault in batch.failed)
            if not self._replace_failed(batch):
                break
        batch.result = batch.images
        if self._output == "float32":
            floats = self._float_buffers.floats(batch.images.shape)
            np.copyto(floats, batch.images)
            batch.result = to_range(floats, self._request.spec)
        batch.done.set()

    def _replace_failed(self, batch: _Pending) -> bool:
        """Load the rows that take the place of failed ones; whether any of these failed too."""
        before, failed = batch.rows, len(batch.failed)
        batch.rows = batch.order.rows(batch.begin, batch.end)
        batch.items = self._source.find(batch.rows)
        batch.draws = batch.order.draws(batch.begin, batch.end)
        batch.crops = batch.order.crops(batch.begin, batch.end)
        for index in np.flatnonzero(batch.rows != before).tolist():
            self._load(batch, index, index + 1)
        return len(batch.failed) > failed
