"""Resources that must be closed after an error, or although Ctrl-C interrupts their closing."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Protocol, TypeVar


class Closeable(Protocol):
    """Anything with `close`."""

    def close(self) -> None:
        """Free what it holds."""


_Resource = TypeVar("_Resource", bound=Closeable)


@contextmanager
def closed_on_error(resource: _Resource) -> Iterator[_Resource]:
    """Close the resource if the block fails; otherwise it stays open."""
    try:
        yield resource
    except BaseException:
        resource.close()
        raise


def closed_to_the_end(close: Callable[[], None]) -> None:
    """Call `close` so that Ctrl-C ends only the wait for it.

    It runs in a thread of its own, since Python interrupts the main thread alone. Closing may have
    to wait for threads that write to what it frees, so it can neither be cut short nor skipped.
    Ctrl-C in the microseconds before that thread starts still skips it.

    Raises:
        Exception: what `close` has raised.
    """
    if sys.is_finalizing():  # Python 3.11 would wait forever for a thread to start
        close()
        return
    errors: list[BaseException] = []

    def run() -> None:
        try:
            close()
        except BaseException as error:
            errors.append(error)

    thread = Thread(target=run, name="feedbench-close", daemon=True)
    try:
        thread.start()
    except RuntimeError:  # no thread starts when the interpreter ends, or at the limit of threads
        run()
    else:
        thread.join()
    for error in errors:
        raise error
