"""Threads that fill batches image by image, each image straight into the batch's own memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil
from queue import SimpleQueue
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment.draws import Draws
from feedbench.loaders.augment.host import augmenter, to_range
from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.buffers import Buffers
from feedbench.loaders.contract import Batch, Request, Stream
from feedbench.loaders.cores import usable_cores
from feedbench.loaders.errors import CLOSED, ImageError, LoaderError, SpecError
from feedbench.loaders.images.resize import disable_opencv_threads
from feedbench.loaders.order import Order, Rows
from feedbench.loaders.settings import Threaded

_SHARES = 4  # of a batch for each thread, at least, where all wait for the same one
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

    def load_rows(
        self, rows: Rows, items: Any, piece: range, into: Pixels, crops: Crops | None
    ) -> Iterable[int]:
        """Write some images of a batch.

        Args:
            rows: of the whole batch.
            items: what `find` returned for these.
            piece: the places of the images in the batch.
            into: the images of the whole batch, uint8 `[batch, side, side, 3]`.
            crops: the region to cut out of each image of the batch; None for whole images.

        Returns:
            The places that are left to be loaded one by one, such as those of rows that fail.
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
        chunk: the most images that a thread takes at a time; with more, less of their time is spent
            under Python's lock.
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
        pool.close(stop)
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


def pieces_of(images: int, chunk: int) -> list[range]:
    """Return the places of a batch's images, in pieces of about the same size.

    Args:
        chunk: the most images of a piece.
    """
    count = ceil(images / chunk)
    ends = [number * images // count for number in range(count + 1)]
    return [range(first, last) for first, last in pairwise(ends)]


@dataclass
class _Pending:
    """A batch that is being filled.

    Attributes:
        order: positions `begin` to `end` of it make the batch.
        crops: the region to cut out of each image; None for whole images.
        unfinished: the numbers of the pieces that are not filled yet, down to 0.
        failed: the images that failed so far.
        outcome: takes the finished images, or what ended the run.
        has_ended: whether it took what ended the run.
    """

    order: Order
    begin: int
    end: int
    rows: Rows
    items: Any
    draws: Draws
    crops: Crops | None
    images: Pixels
    unfinished: list[int]
    failed: list[ImageError] = field(default_factory=list)
    outcome: SimpleQueue[Any] = field(default_factory=SimpleQueue)
    has_ended: bool = False


class BatchPool:
    """Fills the batches of an order; `close` ends its threads within the time of one image."""

    def __init__(self, source: Source, request: Request, settings: Threaded, chunk: int) -> None:
        """Start the threads."""
        self._source = source
        self._regions = cast("RegionSource", source)
        self._at_once = source if isinstance(source, RowsSource) else None
        self._request = request
        self._order = request.order
        self._augment = augmenter(request.spec) if request.spec.augment.on_host else None
        self._output = settings.output
        count = settings.num_threads or usable_cores()
        size = request.spec.batch_size
        self._chunk = chunk if settings.prefetch else min(chunk, ceil(size / (_SHARES * count)))
        self._ahead = batches_ahead(settings.prefetch, count, self._chunk, size)
        self._buffers, self._float_buffers = Buffers(), Buffers()
        self._tasks: SimpleQueue[tuple[_Pending, range] | None] = SimpleQueue()
        self._failing = threading.Lock()
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

    def close(self, stop: Callable[[], None] = lambda: None) -> None:
        """End the threads and free their memory.

        Args:
            stop: stops what the threads may wait for; what they read then fails.
        """
        self._open = False
        stop()
        for _ in self._threads:
            self._tasks.put(None)
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
        pieces = pieces_of(len(rows), self._chunk)
        unfinished = list(range(len(pieces)))
        batch = _Pending(self._order, begin, end, rows, items, draws, crops, images, unfinished)
        for piece in pieces:
            self._tasks.put((batch, piece))
        return batch

    def _wait(self, batch: _Pending) -> Batch:
        """The batch, once it is complete.

        Raises:
            LoaderError: an image cannot be read, or the stream was closed by another thread.
        """
        if not self._open:  # the threads may have ended before they saw it
            raise LoaderError(CLOSED)
        outcome = batch.outcome.get()
        if isinstance(outcome, BaseException):
            raise outcome
        if batch.failed:
            for fault in batch.failed:
                self._request.faults.add(fault)
            self._order = self._order.without(fault.row for fault in batch.failed)
        return self._request.batch(outcome, batch.rows, batch.draws)

    def _work(self) -> None:
        """What each thread runs."""
        while (task := self._tasks.get()) is not None:
            batch, piece = task
            try:
                self._fill(batch, piece)
            except BaseException as error:  # whatever it is, the consumer must not wait forever
                batch.has_ended = True
                batch.outcome.put(error if self._open else LoaderError(CLOSED))
            del task, batch  # a thread that waits must not hold a batch's memory

    def _fill(self, batch: _Pending, piece: range) -> None:
        if self._open and not batch.has_ended:
            self._load(batch, piece)
            # One thread alone gets the last number, which is 0.
            if self._open and not batch.unfinished.pop():
                completed = self._completed(batch)
                if self._open:  # else it may lack images
                    batch.outcome.put(completed)
        if not self._open:  # another thread may be waiting for it
            batch.outcome.put(LoaderError(CLOSED))

    def _load(self, batch: _Pending, piece: range) -> None:
        for place in self._left_of(batch, piece):
            if not self._open:
                return
            try:
                self._load_one(batch, place)
            except ImageError as error:
                self._note(batch, error)
        if self._augment is not None:
            part = slice(piece.start, piece.stop)
            self._augment(batch.images[part], batch.draws[part])

    def _left_of(self, batch: _Pending, piece: range) -> Iterable[int]:
        """Load images at once where the source can, and return the places of those left."""
        if self._at_once is None:
            return piece
        return self._at_once.load_rows(batch.rows, batch.items, piece, batch.images, batch.crops)

    def _note(self, batch: _Pending, error: ImageError) -> None:
        """Note an image that failed.

        Raises:
            LoaderError: it may not be dropped.
        """
        with self._failing:
            batch.failed.append(error)
            failed = len({fault.row for fault in batch.failed})
        self._request.faults.tolerance.check(failed, error)

    def _load_one(self, batch: _Pending, place: int) -> None:
        row, item, into = int(batch.rows[place]), batch.items[place], batch.images[place]
        if batch.crops is None:
            self._source.load(row, item, into)
        else:
            self._regions.load_region(row, item, into, batch.crops[place])

    def _completed(self, batch: _Pending) -> Any:
        """The images of a batch that is filled, without those that failed, in its dtype."""
        while batch.failed:
            batch.order = batch.order.without(fault.row for fault in batch.failed)
            if not self._replace_failed(batch):
                break
        if self._output == "uint8":
            return batch.images
        floats = self._float_buffers.floats(batch.images.shape)
        np.copyto(floats, batch.images)
        return to_range(floats, self._request.spec)

    def _replace_failed(self, batch: _Pending) -> bool:
        """Load the rows that take the place of failed ones; whether any of these failed too."""
        before, failed = batch.rows, len(batch.failed)
        batch.rows = batch.order.rows(batch.begin, batch.end)
        batch.items = self._source.find(batch.rows)
        batch.draws = batch.order.draws(batch.begin, batch.end)
        batch.crops = batch.order.crops(batch.begin, batch.end)
        for index in np.flatnonzero(batch.rows != before).tolist():
            self._load(batch, range(index, index + 1))
        return len(batch.failed) > failed
