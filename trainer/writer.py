"""Write files on a thread while the training continues, so that no epoch waits for a disk.

Serializing takes a core from the training that runs beside it. Where epochs take seconds, writing
after each of them would slow all of them down, so the thread rests after it has written.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from math import inf
from pathlib import Path
from time import perf_counter
from typing import Self

from feedbench.trainer.errors import CheckpointError

Job = Callable[[], None]
_REST = 50  # times as long as the last jobs took: writing takes at most 2 % of the time


class Writer:
    """Runs jobs one by one on its own thread, inside a `with`, and rests between them.

    A waiting job is replaced by a newer one of the same name. An error is raised by the next
    `submit`, or at the end.
    """

    def __init__(self, checkpoint: Path) -> None:
        """Prepare the thread.

        Args:
            checkpoint: what the run can be resumed from after an error, if it was ever written.
        """
        self._checkpoint = checkpoint
        self._jobs: dict[str, Job] = {}
        self._changed = threading.Condition()
        self._closing = False
        self._at_once = False
        self._rest_ends = 0.0
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join()
        if kind is None:
            self._raise_error()

    def submit(self, name: str, job: Job, *, at_once: bool = False) -> None:
        """Run a job after the rest, or as soon as the jobs before it are done.

        Raises:
            CheckpointError: an earlier job failed.
        """
        self._raise_error()
        with self._changed:
            self._at_once |= at_once
            self._jobs.pop(name, None)
            self._jobs[name] = job
            self._changed.notify()

    def _raise_error(self) -> None:
        if isinstance(self._error, OSError):
            # A full disk is an error of a file that is open already, which has no name.
            reason = f"{self._error.filename or self._checkpoint.parent}: {self._error.strerror}"
            raise CheckpointError(f"{reason}; {self._remedy()}") from self._error
        if self._error is not None:
            raise self._error

    def _remedy(self) -> str:
        if self._checkpoint.exists():
            return "the last checkpoint is intact: make files writable there, and use --resume"
        return "there is no checkpoint: start again, with --out on a disk that has room"

    def _work(self) -> None:
        while jobs := self._next():
            begin = perf_counter()
            try:
                for job in jobs:
                    job()
            except BaseException as error:
                self._error = error
                return
            end = perf_counter()
            self._rest_ends = end + _REST * (end - begin)

    def _next(self) -> list[Job]:
        """Wait, and return the jobs to run next; none when the block has ended."""
        with self._changed:
            while not self._closing and (rest := self._remaining_rest()):
                self._changed.wait(None if rest == inf else rest)
            jobs = list(self._jobs.values())
            self._jobs.clear()
            self._at_once = False
            return jobs

    def _remaining_rest(self) -> float:
        """Return the seconds until the next job may start; infinite if there is none."""
        if not self._jobs:
            return inf
        return 0.0 if self._at_once else max(0.0, self._rest_ends - perf_counter())
