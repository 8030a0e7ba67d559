"""Batches by Keras' own threads or processes: the enqueuer that `fit` uses for a PyDataset."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any, Protocol

from feedbench.loaders.errors import WorkerError

_PATIENCE_S = 2.0  # for a pool that is told to end
_LOOK_S = 0.2  # how often a wait for a batch looks after the processes that make it


class Indexed(Protocol):
    """Any batch by its step."""

    @property
    def order(self) -> Any:
        """Tells how many steps there are."""

    def __getitem__(self, step: int) -> Any:
        """The batch, or whatever is to be handed over for it."""


class Knobs(Protocol):
    """Keras' own."""

    @property
    def workers(self) -> int:
        """Threads or processes."""

    @property
    def use_multiprocessing(self) -> bool:
        """Whether they are processes."""

    @property
    def max_queue_size(self) -> int:
        """Batches under way."""


class Enqueuer:
    """Keras' OrderedEnqueuer, started; its threads and processes are gone after `close`."""

    def __init__(self, batches: Indexed, knobs: Knobs) -> None:
        # Keras has no public way to iterate a PyDataset outside of fit; this is what fit does.
        from keras.src.trainers.data_adapters.py_dataset_adapter import OrderedEnqueuer

        # An event of threads would never be seen by processes: they would decode the whole queue.
        self._closing = multiprocessing.Event() if knobs.use_multiprocessing else threading.Event()
        self._pools: list[Any] = []
        self._processes: list[Any] = []
        self._enqueuer = OrderedEnqueuer(
            _py_dataset(batches, knobs, self._closing),
            workers=knobs.workers,
            use_multiprocessing=knobs.use_multiprocessing,
            max_queue_size=knobs.max_queue_size,
        )
        self._make_pool = self._enqueuer.executor_fn
        self._enqueuer.executor_fn = self._remember
        self._enqueuer.start()
        self._thread = self._enqueuer.run_thread

    def batches(self) -> Iterator[Any]:
        """What the dataset gives for each step, without end.

        Raises:
            WorkerError: a process was ended; Keras would wait for its batch for ever.
        """
        while True:
            value = self._enqueuer.future_queue.get()
            if isinstance(value, Exception):
                raise value
            while not value.ready():
                self._look_after_processes()
                value.wait(_LOOK_S)
            yield value.get()

    def close(self) -> None:
        """End threads and processes; batches under way are finished, no more are begun."""
        self._closing.set()
        self._enqueuer.stop(drain_queue_and_join=False)
        while self._thread.is_alive():
            self._forget_queue()
            self._thread.join(0.01)
        self._forget_queue()
        for pool in self._pools:
            if self._died() is not None:
                _terminate(pool)
            pool.join()

    def _remember(self, shared: Any) -> Any:
        before = set(multiprocessing.active_children())
        pool = self._make_pool(shared)
        self._processes += set(multiprocessing.active_children()) - before
        self._pools.append(pool)
        return pool

    def _forget_queue(self) -> None:
        try:
            while True:
                self._enqueuer.future_queue.get_nowait()
        except queue.Empty:
            return

    def _died(self) -> Any:
        return next((one for one in self._processes if one.exitcode), None)

    def _look_after_processes(self) -> None:
        died = self._died()
        if died is None or self._closing.is_set():
            return
        code = died.exitcode
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise WorkerError(
            f"keras_pil: worker process {died.pid} ended by {how}; if memory ran out take fewer "
            "workers or a smaller max_queue_size"
        )


def _terminate(pool: Any) -> None:
    """End a pool one of whose processes was killed, maybe while it held the lock of a queue."""
    ending = threading.Thread(target=pool.terminate, daemon=True)
    ending.start()
    ending.join(_PATIENCE_S)
    while ending.is_alive():
        for lock in (pool._inqueue._rlock, pool._outqueue._wlock):
            lock.acquire(timeout=_PATIENCE_S)  # in vain: whoever holds it for so long is dead
            lock.release()
        ending.join(_PATIENCE_S)


def _py_dataset(batches: Indexed, knobs: Knobs, closing: Any) -> Any:
    from keras.utils import PyDataset

    class Given(PyDataset):  # type: ignore[misc]
        """The batches; once closing, batches asked for in advance are not decoded any more.

        An error is given, not raised: Keras would raise it again while it stops, half way.
        """

        @property
        def num_batches(self) -> int | None:
            steps: int | None = batches.order.steps
            return steps

        def __getitem__(self, step: int) -> Any:
            _follow_parent()
            try:
                return None if closing.is_set() else batches[step]
            except Exception as error:
                return error

    return Given(
        workers=knobs.workers,
        use_multiprocessing=knobs.use_multiprocessing,
        max_queue_size=knobs.max_queue_size,
    )


@cache
def _follow_parent() -> None:
    """In a worker process: end with the parent, which cannot say so when it is killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def exit_after_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=exit_after_parent, daemon=True).start()
