"""Settings as `--set`, suite files and best.toml have them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Choice
from feedbench.loaders import LOADERS, alternatives, short_name
from feedbench.loaders.own import with_none, without_none


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


def single(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as a suite has them: of a value that is a list, a list of one value."""
    return {name: [value] if isinstance(value, list) else value for name, value in settings.items()}


def as_toml(loader: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings for a TOML file, which cannot hold None.

    A user's function gets the text None as the value; for other loaders, None is a default.
    """
    if loader in LOADERS:
        return {name: value for name, value in settings.items() if value is not None}
    return {name: without_none(value) for name, value in settings.items()}


def from_toml(loader: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings that a TOML file holds."""
    if loader in LOADERS:
        return dict(settings)
    return {name: with_none(value) for name, value in settings.items()}


def _of(loader: str, settings: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {**settings.get(short_name(loader), {}), **settings.get(loader, {})}


def _why_unused(loader: str, used: list[str]) -> str:
    if loader in LOADERS:
        return f"{loader} is not used here, only {', '.join(used)}; add --loader {loader}"
    own = [short_name(name) for name in used if name not in LOADERS]
    return f"no loader {loader!r}; {alternatives(loader, [*LOADERS, *own])}"
