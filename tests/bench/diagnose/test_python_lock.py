"""Whether threads hold Python's lock is seen by a thread that needs it."""

import hashlib
import threading
from time import perf_counter, sleep

from feedbench.bench.diagnose.python_lock import LockProbe

DATA = bytes(1 << 22)  # hashlib releases the lock meanwhile


def share_beside(work, seconds=1.0):
    stop = threading.Event()

    def run():
        while not stop.is_set():
            work()

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    with LockProbe() as probe:
        sleep(seconds)
        while probe.share is None:  # on a busy machine, samples take longer
            sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    return probe.share


def spin():
    end = perf_counter() + 0.01
    while perf_counter() < end:
        pass


def test_threads_that_hold_the_lock_are_seen():
    assert share_beside(spin) > 0.7


def test_threads_that_work_without_the_lock_are_not_taken_for_it():
    assert share_beside(lambda: hashlib.sha256(DATA)) < 0.5


def test_too_few_samples_say_nothing():
    with LockProbe() as probe:
        pass
    assert probe.share is None
