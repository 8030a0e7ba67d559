"""The space that is searched: configurations that differ from a given one in their settings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import Any

from feedbench.bench.plan.plan import Choice
from feedbench.bench.tune.race import Finding
from feedbench.loaders import LoaderError, find_loader, parse_settings

TOGETHER = "together"  # the `setting` of a finding that changes several settings at once
_UNSET = object()
PIXEL_SETTINGS = ("decode",)  # of any loader: settings that may change its pixels


def setting_value(choice: Choice, name: str) -> Any:
    """Return the value of a setting, its default if the choice does not give one."""
    return choice.settings.get(name, _default(choice, name))


def _default(choice: Choice, name: str) -> Any:
    """Return the default of a setting; of an unnamed keyword of an own function, there is none."""
    field = find_loader(choice.loader).settings.model_fields.get(name)
    return _UNSET if field is None else field.default


def replace_settings(choice: Choice, settings: dict[str, Any]) -> Choice | None:
    """Return the choice with other settings; None if the loader refuses the combination."""
    merged = {**choice.settings, **settings}
    changed = {name: value for name, value in merged.items() if value != _default(choice, name)}
    try:
        parse_settings(find_loader(choice.loader), changed)
    except LoaderError:
        return None
    return choice.model_copy(update={"settings": changed})


def alternatives(choice: Choice, name: str) -> list[Choice]:
    """Return the choices that differ from this one only in the value of one setting."""
    current, values = setting_value(choice, name), find_loader(choice.loader).values(name)
    others = [replace_settings(choice, {name: value}) for value in values if value != current]
    return [other for other in others if other is not None]


def combine_ties(best: Choice, findings: Iterable[Finding]) -> Choice | None:
    """Return the best with every setting that tied with it and looked faster.

    Of several values of one setting the fastest is taken. None if there are fewer than two
    settings.
    """
    ties = [
        (finding.ratio.value, finding.setting, setting_value(finding.choice, finding.setting))
        for finding in findings
        if finding.outcome == "tie"
        and finding.against == best
        and finding.setting
        and finding.ratio
    ]
    ties.sort(key=lambda tie: tie[0])  # so that the fastest value of a setting comes last
    settings = {name: value for ratio, name, value in ties if ratio > 1}
    return replace_settings(best, settings) if len(settings) > 1 else None


def transfer_settings(winner: Choice, others: Iterable[Choice]) -> list[Choice]:
    """Return other loaders with those of the winner's settings that they share."""
    transferred = []
    for other in others:
        loader = find_loader(other.loader)
        shared = {
            name: value
            for name, value in winner.settings.items()
            if value in loader.values(name) and name not in other.settings
        }
        if shared and (choice := replace_settings(other, shared)) is not None:
            transferred.append(choice)
    return transferred


def with_setting(best: Choice, choices: Iterable[Choice], name: str | None) -> list[Choice]:
    """Return the best with the values that others of its loader have of a setting.

    Without a name, return the others: what they differ in is the loader.
    """
    if name is None:
        return [choice for choice in choices if choice.loader != best.loader]
    values = [setting_value(choice, name) for choice in choices if choice.loader == best.loader]
    others = [
        replace_settings(best, {name: value})
        for value in values
        if value != setting_value(best, name)
    ]
    return [other for other in others if other is not None]


def grid_size(loaders: Iterable[str]) -> int:
    """Return the number of configurations in an exhaustive search of some loaders.

    An own loader whose file is gone counts as one.
    """
    return sum(map(_space_size, loaders))


def _space_size(name: str) -> int:
    try:
        loader = find_loader(name)
    except LoaderError:
        return 1
    return prod(len(loader.values(setting)) for setting in loader.space)


def pixel_choices(defaults: Sequence[Choice]) -> list[Choice]:
    """Return the defaults and all choices whose pixels may differ from theirs."""
    others = [
        other
        for choice in defaults
        for name in PIXEL_SETTINGS
        if name in find_loader(choice.loader).space
        for other in alternatives(choice, name)
    ]
    return [*defaults, *others]
