"""Trials that fill a cache before they are timed, for which a warm-up takes longer."""

from __future__ import annotations

from collections.abc import Iterable

from feedbench.bench.plan.plan import Choice
from feedbench.loaders import find_loader, parse_settings

MOST_OF_OWN_S = 60.0  # that a user's cache is waited for: an epoch of theirs may take hours


def fills_cache(choice: Choice) -> bool:
    """Whether a loader fills a cache in its first epoch, which is then part of its warm-up."""
    loader = find_loader(choice.loader)
    return parse_settings(loader, choice.settings).fills_cache or caches_own(choice.loader)


def caches_own(loader: str) -> bool:
    """Whether a loader is a user's function in a file that caches a tf.data pipeline."""
    own = find_loader(loader).own
    return own is not None and own.caches_datasets()


def any_fills_cache(choices: Iterable[Choice]) -> bool:
    """Whether at least one of these loaders fills a cache."""
    return any(map(fills_cache, choices))
