"""What the threads of a pool do next, and what the consumer waits for.

By the compiled module, a thread makes images without Python's lock until Python has a part in one.
Without it, Python makes all images, in pieces of a batch.
"""

from __future__ import annotations

from collections import deque
from itertools import pairwise
from math import ceil
from queue import SimpleQueue
from typing import Any

from feedbench.loaders.pool.compiled import compiled_module
from feedbench.loaders.pool.pending import Pending

_SHARES = 4  # of a batch for each thread, at least, where all wait for the same one
# A batch; the first place of a piece of it, and the one after its last; the places of the images
# that Python makes. Without these, the batch is to be completed.
Task = tuple[Pending, tuple[int, int] | None, Any]


def tasks_for(
    threads: int, chunk: int, *, by_python: bool, complete: bool, ahead: bool
) -> CompiledTasks | PieceTasks:
    """Return tasks for some threads.

    Args:
        threads: how many.
        chunk: the most images of a task.
        by_python: whether Python has a part in each task.
        complete: whether Python completes each batch.
        ahead: whether more than one batch is filled at a time.
    """
    module = compiled_module()
    if module is None:
        return PieceTasks(threads, chunk, ahead=ahead)
    return CompiledTasks(module, threads, chunk, by_python=by_python, complete=complete)


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


class CompiledTasks:
    """Batches whose images the compiled module makes where it can; the rest are tasks."""

    def __init__(
        self, module: Any, threads: int, chunk: int, *, by_python: bool, complete: bool
    ) -> None:
        self._module = module
        self._threads = threads
        self._parts = by_python, complete
        self._queue: Any = module.queue(threads, chunk)

    def ahead(self, prefetch: int, batch_size: int) -> int:
        """How many batches are filled at a time: a thread may take a single image."""
        return batches_ahead(prefetch, self._threads, 1, batch_size)

    def put(self, batch: Pending) -> None:
        """Append a batch, unless they are closed."""
        source, paths = batch.work or (None, None)
        rows, images = batch.rows, batch.images
        queue = self._queue
        if queue is not None:
            self._module.put(
                queue, batch, len(rows), *self._parts, source, rows, paths, batch.crops, images
            )

    def wait(self, batch: Pending) -> bool:
        """Wait until this batch, the oldest, is filled or has failed; False once they stop."""
        queue = self._queue
        return queue is not None and bool(self._module.wait(queue))

    def worker(self) -> CompiledWorker:
        """What a thread calls."""
        return CompiledWorker(self._module, self._queue)

    def stop(self) -> None:
        """Have all threads return from `take`, and the consumer from `wait`."""
        self._module.stop(self._queue)

    def close(self) -> None:
        """Free the batches, after the threads have ended."""
        queue, self._queue = self._queue, None
        self._module.clear(queue)


class CompiledWorker:
    """What one thread keeps."""

    def __init__(self, module: Any, queue: Any) -> None:
        self._module = module
        self._worker = module.worker(queue)

    def take(self) -> Task | None:
        """End the last task, and make images until there is another; None once they stop."""
        task: Task | None = self._module.take(self._worker)
        return task

    def fail(self) -> None:
        """Have the consumer not wait for the batch of the last task, which has its error."""
        self._module.fail(self._worker)


class PieceTasks:
    """Batches in pieces, which Python makes."""

    def __init__(self, threads: int, chunk: int, *, ahead: bool) -> None:
        self._threads = threads
        self._chunk, self._ahead = chunk, ahead
        self._batches: deque[Pending] = deque()
        self._pieces: SimpleQueue[tuple[Pending, range] | None] = SimpleQueue()
        self._open = True

    def ahead(self, prefetch: int, batch_size: int) -> int:
        """How many batches are filled at a time."""
        return batches_ahead(prefetch, self._threads, self._most(batch_size), batch_size)

    def put(self, batch: Pending) -> None:
        """Append a batch."""
        count = len(batch.rows)
        pieces = pieces_of(count, self._most(count))
        batch.unfinished = list(range(len(pieces)))
        self._batches.append(batch)
        for piece in pieces:
            self._pieces.put((batch, piece))

    def wait(self, batch: Pending) -> bool:
        """Wait until a batch is filled or has failed; False once they stop."""
        if self._open:
            batch.outcome.get()
        if self._open:
            self._batches.popleft()
        return self._open

    def worker(self) -> PieceWorker:
        """What a thread calls."""
        return PieceWorker(self._pieces)

    def stop(self) -> None:
        """Have all threads return from `take`, and the consumer from `wait`."""
        self._open = False
        for batch in list(self._batches):
            batch.outcome.put(None)
        for _ in range(self._threads):
            self._pieces.put(None)

    def close(self) -> None:
        """Free the batches, after the threads have ended."""
        self._batches.clear()
        self._pieces = SimpleQueue()

    def _most(self, images: int) -> int:
        """The most images of a piece: fewer if all threads work on one batch."""
        if self._ahead:
            return self._chunk
        return min(self._chunk, ceil(images / (_SHARES * self._threads)))


class PieceWorker:
    """What one thread is at."""

    def __init__(self, pieces: SimpleQueue[tuple[Pending, range] | None]) -> None:
        self._pieces = pieces
        self._batch: Pending | None = None
        self._completes = False

    def take(self) -> Task | None:
        """End the last task and wait for the next one; None once they are stopped."""
        batch = self._batch
        if batch is not None and self._has_to_complete(batch):
            return batch, None, None
        self._batch = batch = None  # a thread that waits must not hold a batch's memory
        if (task := self._pieces.get()) is None:
            return None
        self._batch, piece = task
        return self._batch, (piece.start, piece.stop), piece

    def fail(self) -> None:
        """Have the consumer not wait for the batch of the last task, which has its error."""
        if self._batch is not None:
            self._batch.outcome.put(None)

    def _has_to_complete(self, batch: Pending) -> bool:
        """Whether the last piece of a batch is filled, and nothing else is done with it yet."""
        if batch.error is not None:
            self._completes = False
        elif self._completes:
            self._completes = False
            batch.outcome.put(None)
        else:  # one thread alone gets the last number, which is 0
            self._completes = not batch.unfinished.pop()
        return self._completes
