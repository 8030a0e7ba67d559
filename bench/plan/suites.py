"""The built-in suites: which loaders with which settings people should compare first."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any, cast

from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Choice, Suite, read_suite
from feedbench.bench.plan.settings import with_settings
from feedbench.loaders import LOADERS, Loader, Manifest
from feedbench.loaders.capabilities import SuiteName
from feedbench.loaders.explain import alternatives

SUITES: tuple[SuiteName, ...] = ("quick", "standard")


def available_loaders(manifest: Manifest, given: Container[str] = ()) -> list[Loader]:
    """The loaders that can read a source as they are, or with the settings given for them.

    Args:
        given: names of the loaders for which settings were given; a loader that cannot be opened
            without any is left out unless it is among them.
    """
    return [
        loader
        for loader in LOADERS.values()
        if loader.is_choice
        and manifest.layout in loader.layouts
        and (loader.opens_by_default or loader.name in given)
    ]


def built_in_trials(
    name: SuiteName, manifest: Manifest, given: Container[str] = ()
) -> tuple[Choice, ...]:
    """What each loader that can read a source brings to a built-in suite."""
    return tuple(
        Choice(loader=loader.name, settings=dict(settings))
        for loader in available_loaders(manifest, given)
        for settings in loader.suites.get(name, ())
    )


def select_suite(
    name: str | None,
    loaders: Sequence[Choice],
    settings: dict[str, dict[str, Any]],
    manifest: Manifest,
) -> Suite:
    """The suite that was named, or one of the loaders that were, with `--set` applied.

    Raises:
        PlanError: there is no such suite, or a setting of a loader that is not in it.
    """
    if name and loaders:
        raise PlanError("--suite and --loader: give one of them")
    if loaders:
        chosen = Suite(trial=list(loaders))
    elif (name or "quick") in SUITES:
        chosen = Suite(trial=list(built_in_trials(cast("SuiteName", name or "quick"), manifest)))
    elif Path(str(name)).suffix == ".toml":
        chosen = read_suite(Path(str(name)))
    else:
        raise PlanError(
            f"--suite {name}: no such suite or .toml file; {alternatives(str(name), SUITES)}"
        )
    return _with_settings(chosen, settings)


def limits_suite(
    loaders: Sequence[Choice], settings: dict[str, dict[str, Any]], manifest: Manifest
) -> Suite:
    """What is held against the machine's limits; what needs a setting too if it is given.

    Raises:
        PlanError: a setting of a loader that is not among them.
    """
    if loaders:
        return select_suite(None, loaders, settings, manifest)
    trials = built_in_trials("limits", manifest, settings)
    return _with_settings(Suite(trial=list(trials)), settings)


def _with_settings(suite: Suite, settings: dict[str, dict[str, Any]]) -> Suite:
    return suite.model_copy(update={"trial": with_settings(suite.trial, settings)})
