"""Resources that must be closed after an error."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
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
