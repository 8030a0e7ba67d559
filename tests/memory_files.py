"""What a test leaves in shared memory, which the tests in other processes use meanwhile."""

import os
import time

FOLDER = "/dev/shm"
PATIENCE_S = 60


def memory_files() -> set[str]:
    """The names of all files in shared memory."""
    return set(os.listdir(FOLDER))


def left_over(before: set[str]) -> set[str]:
    """The names that are new and stay, unlike those of tests that run at the same time."""
    deadline = time.monotonic() + PATIENCE_S
    left = memory_files() - before
    while left and time.monotonic() < deadline:
        time.sleep(0.05)
        left &= memory_files()
    return left
