"""Importing a library whose own libraries may be missing."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from feedbench.loaders.errors import LoaderError
from feedbench.loaders.guests.package import Package


@contextmanager
def importing(loader: str, package: Package) -> Iterator[None]:
    """Raise what an installed library raises when it is imported as one line.

    Raises:
        LoaderError: it cannot be imported; the message has what it needs of Debian.
    """
    try:
        yield
    except (ImportError, OSError, RuntimeError) as error:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        need = f"; it needs Debian's packages: apt-get install {package.system}"
        raise LoaderError(
            f"{loader}: cannot be imported: {lines[0]}{need if package.system else ''}"
        ) from error
