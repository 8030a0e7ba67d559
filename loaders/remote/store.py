"""The interface to an object storage, and the package that implements it."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Iterator
from typing import NamedTuple, Protocol

from feedbench.loaders.address import Version
from feedbench.loaders.guests.package import Package, check_installed

PACKAGES = {"s3": Package("s3", ("s3fs",)), "gs": Package("gs", ("gcsfs",))}
Span = tuple[int, int]  # first byte and number of bytes


class Listed(NamedTuple):
    """An object in a listing: its name below the prefix, and its version."""

    name: str
    version: Version


class Page(NamedTuple):
    """A part of a listing: objects, and names of the folders beside them."""

    objects: list[Listed]
    folders: list[str]


class Store(Protocol):
    """An object storage; its methods are called on several threads at once.

    All of them raise OSError, with one line that a user can act on and without any secret, after
    they have tried `calls.ATTEMPTS` times where trying again may help.
    """

    def pages(
        self,
        bucket: str,
        prefix: str,
        *,
        flat: bool,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> Iterator[Page]:
        """The objects that begin with a prefix, those behind another slash only with `flat`."""

    def version(self, bucket: str, key: str) -> Version | None:
        """The present version of an object; None if there is none."""

    def read(
        self,
        bucket: str,
        key: str,
        version: Version | None,
        span: Span | None = None,
        is_cancelled: Callable[[], bool] = lambda: False,
    ) -> bytes:
        """The bytes of an object or a span of them, if it still is of this version."""


_stores: dict[tuple[str, int], Store] = {}


def store_of(scheme: str) -> Store:
    """The storage of a scheme; each process has connections of its own, also after a fork.

    Raises:
        LoaderError: its package is not installed; the message has the command that installs it.
    """
    known = _stores.get((scheme, os.getpid()))
    if known is None:
        known = _stores[scheme, os.getpid()] = _opened(scheme)
    return known


def _opened(scheme: str) -> Store:
    check_installed(f"{scheme}://", PACKAGES[scheme])
    if scheme == "s3":
        from feedbench.loaders.remote.s3 import S3

        return S3()
    from feedbench.loaders.remote.gs import GoogleStorage

    return GoogleStorage()


def range_header(span: Span) -> str:
    """The header `Range` for a span."""
    begin, length = span
    return f"bytes={begin}-{begin + length - 1}"


def checked(data: bytes, span: Span | None) -> bytes:
    """The bytes of a span, or of a whole object, if they are as many as were asked for.

    Raises:
        OSError: they are not.
    """
    if span is None or len(data) == span[1]:
        return data
    if len(data) < span[1]:
        raise too_short()
    raise OSError(errno.EIO, "the server does not send ranges of bytes, only whole objects")


def missing() -> OSError:
    """The error for an object that is not there, or no longer."""
    return FileNotFoundError(errno.ENOENT, "there is no such object")


def too_short() -> OSError:
    """The error for a span beyond the end of an object."""
    return OSError(errno.EIO, "the object ends before these bytes")


def repeated() -> OSError:
    """The error for a listing whose pages never end; its objects would come again and again."""
    return OSError(
        errno.EIO, "the server answers with the same page of the listing again and again"
    )


def no_bucket() -> OSError:
    """The error for a bucket that is not there."""
    return FileNotFoundError(errno.ENOENT, "there is no such bucket")


def denied() -> OSError:
    """The error for an object or a bucket that these credentials may not read."""
    return OSError(errno.EACCES, "access denied; these credentials may not read it")


def changed() -> OSError:
    """The error for an object that was replaced after it was listed."""
    return OSError(errno.ESTALE, "the object was replaced after it was listed; run this again")
