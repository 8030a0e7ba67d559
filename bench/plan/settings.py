"""Applies the settings of `--set` to every trial of the loader that they name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Choice
from feedbench.loaders import LOADERS, alternatives, short_name


def with_settings(
    choices: Iterable[Choice], settings: Mapping[str, Mapping[str, Any]]
) -> list[Choice]:
    """Return the choices with the settings of their loader added; lists are not expanded.

    Args:
        settings: by loader, then by name. The name of a user's function stands for its loader.

    Raises:
        PlanError: a loader of `settings` is not among the choices.
    """
    choices = list(choices)
    used = list(dict.fromkeys(choice.loader for choice in choices))
    known = {*used, *map(short_name, used)}
    for loader, values in settings.items():
        if loader not in known:
            raise PlanError(f"--set {loader}.{next(iter(values))}: {_why_unused(loader, used)}")
    return [
        choice.model_copy(update={"settings": {**choice.settings, **_of(choice.loader, settings)}})
        for choice in choices
    ]


def _of(loader: str, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {**settings.get(short_name(loader), {}), **settings.get(loader, {})}


def _why_unused(loader: str, used: list[str]) -> str:
    if loader in LOADERS:
        return f"{loader} is not used here, only {', '.join(used)}; add --loader {loader}"
    own = [short_name(name) for name in used if name not in LOADERS]
    return f"no loader {loader!r}; {alternatives(loader, [*LOADERS, *own])}"
