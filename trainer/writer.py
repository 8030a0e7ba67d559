"""Write files on a thread while the training continues, so that no epoch waits for a disk."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

from feedbench.trainer.errors import CheckpointError

Job = Callable[[], None]


class Writer:
    """Runs jobs one by one on its own thread, inside a `with`.

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

    def submit(self, name: str, job: Job) -> None:
        """Run a job soon.

        Raises:
            CheckpointError: an earlier job failed.
        """
        self._raise_error()
        with self._changed:
            self._jobs.pop(name, None)
            self._jobs[name] = job
            self._changed.notify()

    def _raise_error(self) -> None:
        if isinstance(self._error, OSError):
            reason = f"{self._error.filename or 'the run folder'}: {self._error.strerror}"
            raise CheckpointError(f"{reason}; {self._remedy()}") from self._error
        if self._error is not None:
            raise self._error

    def _remedy(self) -> str:
        if self._checkpoint.exists():
            return "the last checkpoint is intact: make files writable there, and use --resume"
        return "there is no checkpoint: start again, with --out on a disk that has room"

    def _work(self) -> None:
        while job := self._next():
            try:
                job()
            except BaseException as error:
                self._error = error
                return

    def _next(self) -> Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._jobs or self._closing)
            return self._jobs.pop(next(iter(self._jobs))) if self._jobs else None
