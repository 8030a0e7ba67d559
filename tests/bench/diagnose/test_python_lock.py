"""Whether threads hold Python's lock is seen by a thread that needs it."""

import hashlib
import threading
from time import perf_counter, sleep

import pytest

from feedbench.bench.diagnose import python_lock
from feedbench.bench.diagnose.python_lock import LockProbe

DATA = bytes(1 << 22)  # hashlib releases the lock meanwhile
ATTEMPTS = 20  # on a busy machine, a thread may wake up late for other reasons


def share_beside(work, threads=2, seconds=0.3):
    stop = threading.Event()

    def run():
        while not stop.is_set():
            work()

    working = [threading.Thread(target=run) for _ in range(threads)]
    for thread in working:
        thread.start()
    with LockProbe() as probe:
        sleep(seconds)
        while probe.share is None:  # on a busy machine, samples take longer
            sleep(0.1)
    stop.set()
    for thread in working:
        thread.join()
    return probe.share


def spin():
    end = perf_counter() + 0.01
    while perf_counter() < end:
        pass


def test_threads_that_hold_the_lock_are_seen():
    assert share_beside(spin) > 0.7


def test_threads_that_work_without_the_lock_are_not_taken_for_it():
    if all(share_beside(spin, threads=0) > 0.2 for _ in range(ATTEMPTS)):
        pytest.skip("threads wake up late on this machine even if it is idle")
    shares = (share_beside(lambda: hashlib.sha256(DATA)) for _ in range(ATTEMPTS))
    assert any(share < 0.5 for share in shares)


@pytest.mark.parametrize(
    ("late_s", "queued_s", "held"),
    [(0.0, 0.0, 0), (0.004, 0.0, 1), (0.004, 0.004, 0), (0.004, 0.002, 1)],
    ids=["in time", "without the lock", "without a core", "without either"],
)
def test_the_time_without_a_core_is_not_counted(monkeypatch, late_s, queued_s, held):
    now, waited = [0.0], [0.0]

    def oversleep(seconds):
        now[0] += seconds + late_s
        waited[0] += queued_s
        sleep(0.0001)

    monkeypatch.setattr(python_lock, "perf_counter", lambda: now[0])
    monkeypatch.setattr(python_lock, "_queued_s", lambda: waited[0])
    monkeypatch.setattr(python_lock, "sleep", oversleep)
    with LockProbe() as probe:
        while probe.share is None:
            sleep(0.01)
    assert probe.share == held


def test_too_few_samples_say_nothing():
    with LockProbe() as probe:
        pass
    assert probe.share is None
