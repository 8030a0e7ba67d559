"""Loaders that the bench brings along for itself: no choice of a user."""

from __future__ import annotations

from importlib import import_module

from feedbench.loaders import LOADERS

_OWN = {
    "rehearsal": "feedbench.bench.diagnose.delay_loader",
    "libjpeg_turbo": "feedbench.bench.limits.loaders",
    "memory_copy": "feedbench.bench.limits.loaders",
}


def is_own(name: str) -> bool:
    """Whether the bench itself brings a loader of that name."""
    return name in _OWN


def let_in(name: str) -> None:
    """Let this process find a loader of the bench's own by its name; any other is left alone."""
    if name in _OWN:
        for loader in import_module(_OWN[name]).OWN:
            LOADERS.setdefault(loader.name, loader)
