"""Loaders that users cannot select: upper bounds, and known delays for the self-test."""

from __future__ import annotations

from feedbench.bench.trials.internal_loaders.delay import DELAY
from feedbench.bench.trials.internal_loaders.limits import LIBJPEG_TURBO, MEMORY_COPY
from feedbench.loaders import LOADERS

INTERNAL_LOADERS = {loader.name: loader for loader in (LIBJPEG_TURBO, MEMORY_COPY, DELAY)}


def register() -> None:
    """Add the internal loaders to `LOADERS`, so that this process can open them by name."""
    LOADERS.update(INTERNAL_LOADERS)


def is_choice(name: str) -> bool:
    """Whether users may select a loader; unknown names, as in old records, count as selectable."""
    loader = INTERNAL_LOADERS.get(name) or LOADERS.get(name)
    return loader is None or loader.is_choice


__all__ = ["DELAY", "INTERNAL_LOADERS", "LIBJPEG_TURBO", "MEMORY_COPY", "is_choice", "register"]
