"""Batches by Keras' own threads or processes: the enqueuer that `fit` uses for a `PyDataset`."""

from __future__ import annotations

import multiprocessing
import os
import queue
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from feedbench.loaders.errors import WorkerError

_TERMINATE_S = 2.0  # for a pool to end after it was asked to
_POLL_S = 0.2  # how often a wait for a batch checks that the processes are alive


class Enqueuer:
    """Keras' `OrderedEnqueuer`, started; `close` ends its threads and processes."""

    def __init__(
        self,
        make: Callable[[int], Any],
        steps: int | None,
        *,
        workers: int,
        use_multiprocessing: bool,
        max_queue_size: int,
    ) -> None:
        """Start to make results ahead.

        Args:
            make: called with each step; returns its result.
            steps: how many there are, None for no end.
            workers: threads or processes.
            use_multiprocessing: whether they are processes.
            max_queue_size: results that are made ahead.

        Raises:
            WorkerError: the system does not allow processes.
        """
        # Keras has no public way to iterate a PyDataset outside of fit; this is what fit does.
        from keras.src.trainers.data_adapters.py_dataset_adapter import OrderedEnqueuer

        # Processes would never see an event of threads: they would decode the whole queue.
        try:
            self._closing = multiprocessing.Event() if use_multiprocessing else threading.Event()
        except OSError as error:
            raise _not_started(error) from error
        self._pools: list[Any] = []
        self._processes: list[Any] = []
        values = {
            "workers": workers,
            "use_multiprocessing": use_multiprocessing,
            "max_queue_size": max_queue_size,
        }
        dataset = _py_dataset(make, steps, self._closing, values)
        self._enqueuer = OrderedEnqueuer(dataset, **values)
        self._make_pool = self._enqueuer.executor_fn
        self._enqueuer.executor_fn = self._make_and_remember_pool
        self._pool_made = threading.Event()
        self._enqueuer.start()
        self._pool_made.wait()  # processes are forked now, before the caller starts other threads
        self._thread = self._enqueuer.run_thread

    def results(self) -> Iterator[Any]:
        """The result of each step, without end; an exception is yielded, not raised.

        Raises:
            WorkerError: a process was killed, for whose result Keras would wait forever, or none
                could be started.
        """
        while True:
            value = self._enqueuer.future_queue.get()
            if isinstance(value, OSError):
                raise _not_started(value) from value
            if isinstance(value, Exception):
                raise value
            self._check_processes()  # also while results are ready: they may be all there are
            while not value.ready():
                value.wait(_POLL_S)
                self._check_processes()
            yield value.get()

    def close(self) -> None:
        """End threads and processes; steps under way are finished, no others are started."""
        if sys.is_finalizing():  # Python has ended both: to wait for them could last forever
            return
        self._closing.set()
        self._enqueuer.stop(drain_queue_and_join=False)
        while self._thread.is_alive():
            self._drain_queue()
            self._thread.join(0.01)
        self._drain_queue()
        for pool in self._pools:
            if self._killed_process() is not None:
                _terminate(pool)
            pool.join()

    def _make_and_remember_pool(self, sequences: Any) -> Any:
        before = set(multiprocessing.active_children())
        try:
            pool = self._make_pool(sequences)
            self._processes += set(multiprocessing.active_children()) - before
            self._pools.append(pool)
        finally:
            self._pool_made.set()
        return pool

    def _drain_queue(self) -> None:
        try:
            while True:
                self._enqueuer.future_queue.get_nowait()
        except queue.Empty:
            return

    def _killed_process(self) -> Any:
        return next((process for process in self._processes if process.exitcode), None)

    def _check_processes(self) -> None:
        killed = self._killed_process()
        if killed is None or self._closing.is_set():
            return
        code = killed.exitcode
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        raise WorkerError(
            f"keras_pil: worker process {killed.pid} ended with {cause}; if memory ran out, use "
            "fewer workers or a smaller max_queue_size"
        )


def _not_started(error: OSError) -> WorkerError:
    return WorkerError(
        f"keras_pil: worker processes cannot be started: {error.strerror or error}; make room in "
        "/dev/shm and raise the limit of processes, or set use_multiprocessing=false"
    )


def _terminate(pool: Any) -> None:
    """End a pool one of whose processes was killed, maybe while it held the lock of a queue."""
    terminating = threading.Thread(target=pool.terminate, daemon=True)
    terminating.start()
    terminating.join(_TERMINATE_S)
    while terminating.is_alive():
        for lock in (pool._inqueue._rlock, pool._outqueue._wlock):
            lock.acquire(timeout=_TERMINATE_S)  # times out: the holder is dead
            lock.release()
        terminating.join(_TERMINATE_S)


def _py_dataset(
    make: Callable[[int], Any], steps: int | None, closing: Any, values: dict[str, Any]
) -> Any:
    from keras.utils import PyDataset

    class StepDataset(PyDataset):  # type: ignore[misc]
        """The results by step; once closing, steps that were requested in advance are skipped.

        An error is returned, not raised: Keras would raise it again while it stops, half way.
        """

        @property
        def num_batches(self) -> int | None:
            return steps

        def __getitem__(self, step: int) -> Any:
            _follow_parent()
            try:
                return None if closing.is_set() else make(step)
            except Exception as error:
                return error

    return StepDataset(**values)


@cache
def _follow_parent() -> None:
    """In a worker process: end with the parent, which cannot tell its workers when it is killed."""
    parent = multiprocessing.parent_process()
    if parent is None:
        return

    def exit_after_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=exit_after_parent, daemon=True).start()
