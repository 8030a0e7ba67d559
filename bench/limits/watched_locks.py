"""Locks of Python that tell the sampler which thread holds them."""

from __future__ import annotations

import queue
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

_LIBRARY = (threading.__file__, queue.__file__)  # a lock is named after the code that calls these


class LockNames(list[str]):
    """The place in the code that made each lock; its number is that of the place, from 1."""

    def add(self, frame: FrameType | None) -> int:
        """Return the number of a new lock.

        Args:
            frame: of the code that makes it.
        """
        while frame is not None and frame.f_code.co_filename in _LIBRARY:
            frame = frame.f_back
        name = f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}" if frame else "unknown"
        self.append(name)
        return len(self)


class WatchedLock:
    """A lock that notes its holder; everything else it leaves to the lock behind it."""

    def __init__(self, lock: Any, number: int, sampler: Any) -> None:
        self._lock = lock
        self._number = number
        self._sampler = sampler
        self._place = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        """Acquire the lock; return whether this thread has it now."""
        is_held: bool = self._lock.acquire(blocking, timeout)
        if is_held:
            self._note()
        return is_held

    def release(self) -> None:
        """Release the lock."""
        self._let_go()
        self._lock.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)

    def _note(self) -> None:
        self._place = self._sampler.hold(self._number)

    def _let_go(self) -> None:
        place, self._place = self._place, 0
        self._sampler.let_go(place)


class WatchedRLock(WatchedLock):
    """The same of a lock that its holder may acquire again, as a Condition does."""

    def __init__(self, lock: Any, number: int, sampler: Any) -> None:
        super().__init__(lock, number, sampler)
        self._depth = 0

    def _note(self) -> None:
        self._depth += 1
        if self._depth == 1:
            super()._note()

    def _let_go(self) -> None:
        if not self._is_owned():
            return  # and releasing it will fail
        self._depth -= 1
        if not self._depth:
            super()._let_go()

    def _release_save(self) -> Any:
        depth, self._depth = self._depth, 0
        super()._let_go()
        return depth, self._lock._release_save()

    def _acquire_restore(self, state: Any) -> None:
        depth, behind = state
        self._lock._acquire_restore(behind)
        super()._note()
        self._depth = depth


@contextmanager
def watched_locks(sampler: Any) -> Iterator[LockNames]:
    """Have code that makes a lock get one that is watched; yield the names of all of these.

    What has imported `Lock` or `RLock` by name before gets the usual ones.

    Args:
        sampler: the compiled module.
    """
    names, lock, reentrant = LockNames(), threading.Lock, threading.RLock

    def made(kind: type[WatchedLock], make: Callable[[], Any]) -> Callable[[], WatchedLock]:
        return lambda: kind(make(), names.add(sys._getframe(1)), sampler)

    threading.Lock = made(WatchedLock, lock)  # type: ignore[assignment]
    threading.RLock = made(WatchedRLock, reentrant)  # type: ignore[assignment]
    try:
        yield names
    finally:
        threading.Lock, threading.RLock = lock, reentrant
