"""Threads that fill batches image by image, each image straight into the batch's own memory."""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment.host import augmenter, to_range
from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.buffers import Buffers
from feedbench.loaders.closing import closed_to_the_end
from feedbench.loaders.contract import Batch, Request, Stream
from feedbench.loaders.cores import usable_cores
from feedbench.loaders.errors import CLOSED, FORKED, ImageError, LoaderError, SpecError
from feedbench.loaders.images.resize import disable_opencv_threads
from feedbench.loaders.order import Rows
from feedbench.loaders.pool.compiled import Work
from feedbench.loaders.pool.pending import Pending
from feedbench.loaders.pool.tasks import tasks_for
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
class CompiledSource(Source, Protocol):
    """A source whose images the compiled module can make too."""

    def work(self, items: Any) -> Work | None:
        """How it makes the images of a batch; None if `load` has to.

        Images that it cannot make, such as those of rows that fail, are left to `load`.

        Args:
            items: what `find` returned for its rows.
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
        chunk: the most images that a thread takes at a time.
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

    return Stream(pool.batches(), lambda: closed_to_the_end(release), request.faults)


class BatchPool:
    """Fills the batches of an order; `close` ends its threads within the time of one image."""

    def __init__(self, source: Source, request: Request, settings: Threaded, chunk: int) -> None:
        """Prepare the threads, which the first batch starts."""
        self._source = source
        self._regions = cast("RegionSource", source)
        self._compiled = source if isinstance(source, CompiledSource) else None
        self._request = request
        self._order = request.order
        self._augment = augmenter(request.spec) if request.spec.augment.on_host else None
        self._output = settings.output
        count = settings.num_threads or usable_cores()
        self._tasks = tasks_for(
            count,
            chunk,
            by_python=self._augment is not None,
            complete=settings.output == "float32",
            ahead=settings.prefetch > 0,
        )
        self._ahead = self._tasks.ahead(settings.prefetch, request.spec.batch_size)
        self._buffers, self._float_buffers = Buffers(), Buffers()
        self._failing = threading.Lock()
        self._open = True
        self._error: BaseException | None = None  # of a thread, outside of any batch
        self._process: int | None = None  # which the threads belong to
        self._threads = [
            threading.Thread(target=self._work, name=f"feedbench-{number}", daemon=True)
            for number in range(count)
        ]

    def batches(self) -> Iterator[Batch]:
        """The batches in order.

        Raises:
            LoaderError: an image cannot be read and may not be dropped.
        """
        self._start_threads()
        positions = self._order.chunks(self._order.batch_size)
        pending: deque[Pending] = deque()
        while True:
            if self._process != os.getpid():
                raise LoaderError(FORKED)
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
        if self._process in (None, os.getpid()):  # elsewhere there are none, and locks may be held
            self._tasks.stop()
            for thread in self._threads:
                if thread.is_alive():  # one that starts meanwhile ends by itself
                    thread.join()
        self._tasks.close()
        self._buffers.clear()
        self._float_buffers.clear()

    def _start_threads(self) -> None:
        """Not before: a process that is forked from this one until then has its own."""
        self._process = os.getpid()
        for thread in self._threads:
            thread.start()

    def _start(self, begin: int, end: int) -> Pending:
        """Hand the images of a batch to the threads."""
        rows = self._order.rows(begin, end)
        items = self._source.find(rows)
        work = self._compiled.work(items) if self._compiled is not None else None
        draws, crops = self._order.draws(begin, end), self._order.crops(begin, end)
        side = self._request.spec.image_size
        images = self._buffers.allocate((len(rows), side, side, 3))
        batch = Pending(self._order, begin, end, rows, items, draws, crops, images, work)
        self._tasks.put(batch)
        return batch

    def _wait(self, batch: Pending) -> Batch:
        """The batch, once it is complete.

        Raises:
            LoaderError: an image cannot be read, or the stream was closed by another thread.
        """
        if not self._tasks.wait(batch):
            raise self._error or LoaderError(CLOSED)
        if batch.error is not None:
            raise batch.error
        if batch.failed:
            for fault in batch.failed:
                self._request.faults.add(fault)
            self._order = self._order.without(fault.row for fault in batch.failed)
        return self._request.batch(batch.images, batch.rows, batch.draws)

    def _work(self) -> None:
        """What each thread runs."""
        if not self._open:  # it was closed while another thread asked for the first batch
            return
        try:
            self._do_tasks()
        except BaseException as error:  # no memory, say: the others would wait for its images
            self._error = error
            self._tasks.stop()

    def _do_tasks(self) -> None:
        worker = self._tasks.worker()
        while (task := worker.take()) is not None:
            batch, piece, left = task
            try:
                self._fill(batch, piece, left)
            except BaseException as error:  # whatever it is, the consumer must not wait forever
                batch.error = error if self._open else LoaderError(CLOSED)
                worker.fail()
            del task, batch  # a thread that waits must not hold a batch's memory

    def _fill(self, batch: Pending, piece: tuple[int, int] | None, left: Iterable[int]) -> None:
        """Do what is left of a piece, or of a whole batch."""
        if not self._open or batch.error is not None:
            return
        if piece is None:
            batch.images = self._completed(batch)
        else:
            self._load(batch, slice(*piece), left)

    def _load(self, batch: Pending, piece: slice, left: Iterable[int]) -> None:
        for place in left:
            if not self._open:
                return
            try:
                self._load_one(batch, place)
            except ImageError as error:
                self._note(batch, error)
        if self._augment is not None:
            self._augment(batch.images[piece], batch.draws[piece])

    def _note(self, batch: Pending, error: ImageError) -> None:
        """Note an image that failed.

        Raises:
            LoaderError: it may not be dropped.
        """
        with self._failing:
            batch.failed.append(error)
            failed = len({fault.row for fault in batch.failed})
        self._request.faults.tolerance.check(failed, error)

    def _load_one(self, batch: Pending, place: int) -> None:
        row, item, into = int(batch.rows[place]), batch.items[place], batch.images[place]
        if batch.crops is None:
            self._source.load(row, item, into)
        else:
            self._regions.load_region(row, item, into, batch.crops[place])

    def _completed(self, batch: Pending) -> Any:
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

    def _replace_failed(self, batch: Pending) -> bool:
        """Load the rows that take the place of failed ones; whether any of these failed too."""
        before, failed = batch.rows, len(batch.failed)
        batch.rows = batch.order.rows(batch.begin, batch.end)
        batch.draws = batch.order.draws(batch.begin, batch.end)
        batch.crops = batch.order.crops(batch.begin, batch.end)
        places = np.flatnonzero(batch.rows != before)
        found = self._source.find(batch.rows[places])  # to find an object begins to read it
        batch.items = dict(zip(places.tolist(), found, strict=True))
        for place in batch.items:
            self._load(batch, slice(place, place + 1), (place,))
        return len(batch.failed) > failed
