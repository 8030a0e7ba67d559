"""Keras' enqueuer outside of `fit`: results in order, and nothing left after closing."""

import errno
import multiprocessing
import os
import signal
import threading
import time
from itertools import islice

import pytest

from feedbench.loaders import WorkerError, keras_enqueuer
from feedbench.loaders.keras_enqueuer import Enqueuer

KINDS = pytest.mark.parametrize("use_multiprocessing", [False, True], ids=["threads", "processes"])


def enqueuer(make, steps, use_multiprocessing, queue_size=4):
    return Enqueuer(
        make, steps, workers=2, use_multiprocessing=use_multiprocessing, max_queue_size=queue_size
    )


@KINDS
@pytest.mark.parametrize("steps", [20, None])
def test_results_come_in_order(use_multiprocessing, steps):
    source = enqueuer(lambda step: step**2, steps, use_multiprocessing)
    assert list(islice(source.results(), 20)) == [step**2 for step in range(20)]
    source.close()


@KINDS
def test_an_error_takes_the_place_of_its_result(use_multiprocessing):
    source = enqueuer(lambda step: 6 // (step - 2), 5, use_multiprocessing)
    results = list(islice(source.results(), 5))
    assert results[:2] == [-3, -6]
    assert isinstance(results[2], ZeroDivisionError)
    assert results[3:] == [6, 3]
    source.close()


@KINDS
def test_closing_leaves_no_threads_and_no_processes(use_multiprocessing):
    before = set(threading.enumerate())
    children = set(multiprocessing.active_children())
    source = enqueuer(lambda step: step, None, use_multiprocessing)
    next(source.results())
    source.close()
    assert set(threading.enumerate()) <= before
    assert set(multiprocessing.active_children()) <= children


@KINDS
def test_queued_steps_are_skipped_when_closing(use_multiprocessing):
    made, may_end = multiprocessing.Value("i"), multiprocessing.Event()

    def make(step):
        with made.get_lock():
            made.value += 1
        may_end.wait(120)

    source = enqueuer(make, None, use_multiprocessing, queue_size=16)
    while not source._enqueuer.future_queue.full():
        time.sleep(0.01)
    source._closing.set()
    may_end.set()
    source.close()
    assert made.value <= 2  # one per worker, of 16 in the queue


def test_a_killed_process_is_an_error_instead_of_a_hang():
    def make(step):
        if step == 3:
            os.kill(os.getpid(), signal.SIGKILL)
        return step

    source = enqueuer(make, None, True)
    with pytest.raises(WorkerError, match="ended with SIGKILL"):
        list(source.results())
    source.close()


@pytest.mark.parametrize("index", [0, 1], ids=["one", "the other"])
def test_a_killed_process_is_an_error_although_results_are_ready(index):
    """One of the idle processes waits for work; the other waits for its lock, and loses nothing."""
    source = enqueuer(lambda step: step, None, True)
    results, queued = source.results(), source._enqueuer.future_queue
    assert next(results) == 0
    while not (queued.full() and all(result.ready() for result in list(queued.queue))):
        time.sleep(0.01)
    os.kill(source._processes[index].pid, signal.SIGKILL)
    while source._killed_process() is None:
        time.sleep(0.01)
    with pytest.raises(WorkerError, match="ended with SIGKILL"):
        next(results)
    source.close()


def test_a_pool_ends_although_killed_processes_held_its_locks(monkeypatch):
    monkeypatch.setattr(keras_enqueuer, "_TERMINATE_S", 0.2)
    pool = multiprocessing.get_context("fork").Pool(2)
    pool._outqueue._wlock.acquire()  # as by one that was returning its result
    for process in pool._pool:  # one of them waits for work, and holds the lock of the other queue
        os.kill(process.pid, signal.SIGKILL)
    keras_enqueuer._terminate(pool)
    pool.join()


def test_processes_that_cannot_be_forked_are_an_error_instead_of_a_hang(monkeypatch):
    def refuse():
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    before = set(threading.enumerate())
    monkeypatch.setattr(os, "fork", refuse)
    source = enqueuer(lambda step: step, None, True)
    with pytest.raises(WorkerError, match="cannot be started: Resource temporarily unavailable; "):
        next(source.results())
    source.close()
    assert set(threading.enumerate()) <= before


def test_without_room_for_locks_there_are_no_processes(monkeypatch):
    def refuse():
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(multiprocessing, "Event", refuse)
    with pytest.raises(WorkerError, match=r"No space left on device; make room in /dev/shm"):
        enqueuer(lambda step: step, None, True)
