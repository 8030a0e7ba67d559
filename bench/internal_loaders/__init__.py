"""Loaders that only the bench itself uses: upper bounds, and the self-test's known delays."""

from __future__ import annotations

from feedbench.bench.internal_loaders.delay import DELAY
from feedbench.bench.internal_loaders.limits import LIBJPEG_TURBO, MEMORY_COPY
from feedbench.loaders import LOADERS

INTERNAL_LOADERS = {loader.name: loader for loader in (LIBJPEG_TURBO, MEMORY_COPY, DELAY)}


def register() -> None:
    """Let this process find and open them by name, like any other loader."""
    LOADERS.update(INTERNAL_LOADERS)


def is_choice(name: str) -> bool:
    """Whether people may choose a loader of that name; a name from an old record counts as one."""
    loader = INTERNAL_LOADERS.get(name) or LOADERS.get(name)
    return loader is None or loader.is_choice


__all__ = ["DELAY", "INTERNAL_LOADERS", "LIBJPEG_TURBO", "MEMORY_COPY", "is_choice", "register"]
