"""A watched lock behaves as the lock behind it, and says who holds it."""

import queue
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from feedbench.bench.limits.watched_locks import WatchedLock, WatchedRLock, watched_locks


class Notes:
    """Takes the place of the compiled module: the number of the lock that is held, if any."""

    def __init__(self):
        self.held = 0

    def hold(self, number):
        if self.held:
            return 0
        self.held = number
        return 7

    def let_go(self, place):
        if place:
            self.held = 0


@pytest.fixture
def notes():
    return Notes()


def test_locks_are_watched_only_in_the_body(notes):
    with watched_locks(notes) as names:
        lock, reentrant = threading.Lock(), threading.RLock()
    assert (type(lock), type(reentrant)) == (WatchedLock, WatchedRLock)
    assert type(threading.Lock()) is not WatchedLock
    assert all(name.startswith("test_watched_locks.py:") for name in names)


def test_a_lock_is_noted_while_it_is_held(notes):
    with watched_locks(notes):
        lock = threading.Lock()
    with lock:
        assert notes.held == 1
        assert not lock.acquire(blocking=False)
        assert lock.locked()
    assert not notes.held
    with pytest.raises(RuntimeError):
        lock.release()


def test_a_lock_that_is_acquired_again_is_noted_until_the_last_release(notes):
    with watched_locks(notes):
        lock = threading.RLock()
    with lock:
        with lock:
            pass
        assert notes.held == 1
    assert not notes.held
    with pytest.raises(RuntimeError):
        lock.release()


def test_who_waits_for_a_condition_holds_nothing(notes):
    with watched_locks(notes):
        ready = threading.Condition()
    with ready:
        assert notes.held == 1
        ready.wait(0.01)
        assert notes.held == 1
    assert not notes.held
    # While it waits, another can hold the lock.
    with ThreadPoolExecutor(1) as pool, ready:
        done = pool.submit(_notify, ready, notes)
        assert ready.wait(60)
    assert done.result() == 1


def _notify(ready, notes):
    with ready:
        held = notes.held
        ready.notify()
    return held


def test_a_lock_within_another_is_the_outer_one(notes):
    with watched_locks(notes):
        outer, inner = threading.Lock(), threading.Lock()
    with outer:
        with inner:
            assert notes.held == 1
        assert notes.held == 1
    assert not notes.held


def test_what_the_standard_library_builds_on_locks_works(notes):
    with watched_locks(notes) as names:
        waiting, event = queue.Queue(1), threading.Event()
        with ThreadPoolExecutor(2) as pool:
            for value in range(20):
                pool.submit(waiting.put, value)
            assert sorted(waiting.get() for _ in range(20)) == list(range(20))
        event.set()
        assert event.wait(1)
        assert threading.Semaphore(1).acquire()
        threading.Barrier(1).wait()
    assert not notes.held
    assert names[0].startswith("test_watched_locks.py:")
