"""The built-in suites of loaders and settings, and the choice of a suite."""

from __future__ import annotations

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Any, cast

from feedbench.bench.errors import PlanError
from feedbench.bench.plan.peers import PEERS, peers
from feedbench.bench.plan.plan import Choice, Suite, check_choice, expand, read_suite
from feedbench.bench.plan.settings import with_settings
from feedbench.loaders import (
    LOADERS,
    Loader,
    Manifest,
    SpecError,
    SuiteName,
    alternatives,
    parse_spec,
)

SUITES: tuple[SuiteName, ...] = ("quick", "standard", PEERS)
# Fields of a suite file that change nothing in limits, and why.
_NOT_OF_LIMITS = {
    "devices": "limits trains nothing",
    "recipe": "limits trains nothing",
    "pixels": "limits compares no pixels",
    "failures": "limits uses no other images in place of those that fail",
}


def available_loaders(manifest: Manifest, configured: Container[str] = ()) -> list[Loader]:
    """Return the selectable loaders that can read a source, without those of other libraries.

    Args:
        configured: names of the loaders that the user gave settings for. A loader that needs a
            setting, such as the folder of a pack, or another library is left out unless its name
            is among them.
    """
    return [
        loader
        for loader in LOADERS.values()
        if loader.is_choice
        and loader.can_read(manifest)
        and (_is_ready(loader) or loader.name in configured)
    ]


def _is_ready(loader: Loader) -> bool:
    """Whether a loader takes part without being named; one without any suite does not."""
    return loader.opens_by_default and bool(loader.suites) and not loader.is_guest


def built_in_trials(
    name: SuiteName, manifest: Manifest, configured: Container[str] = ()
) -> tuple[Choice, ...]:
    """Return the trials of a built-in suite, as declared by the loaders that can read a source."""
    candidates = peers if name == PEERS else available_loaders
    return tuple(
        Choice(loader=loader.name, settings=dict(settings))
        for loader in candidates(manifest, configured)
        for settings in loader.suites.get(name, ())
    )


def select_suite(
    name: str | None,
    loaders: Sequence[Choice],
    settings: dict[str, dict[str, Any]],
    manifest: Manifest,
) -> Suite:
    """Return a built-in suite, a suite file or a suite of the given loaders, with `--set` applied.

    Args:
        name: of a built-in suite or a TOML file; None for `quick`, unless loaders are given.
        loaders: the values of `--loader`.
        settings: the values of `--set`, by loader, then by name.

    Raises:
        PlanError: the suite does not exist, or a setting is for a loader that is not in it.
    """
    if name and loaders:
        raise PlanError("--suite and --loader: give one of them")
    if loaders:
        suite = Suite(trial=list(loaders))
    elif (name or "quick") in SUITES:
        built_in = cast("SuiteName", name or "quick")
        suite = Suite(trial=list(built_in_trials(built_in, manifest, settings)))
    elif Path(str(name)).suffix == ".toml":
        suite = read_suite(Path(str(name)))
    else:
        raise PlanError(
            f"--suite {name}: no such suite or .toml file; {alternatives(str(name), SUITES)}"
        )
    return _with_settings(suite, settings)


def without_refused(suite: Suite) -> tuple[Suite, list[Choice]]:
    """Return a built-in suite without the trials that its spec is refused by, and those trials.

    Raises:
        LoaderError: the spec is not valid.
    """
    spec, accepted, refused = parse_spec(suite.spec), [], []
    for choice in expand(suite.trial):
        try:
            check_choice(choice, spec)
            accepted.append(choice)
        except SpecError:
            refused.append(choice)
    return suite.model_copy(update={"trial": accepted}), refused


def limits_suite(
    name: str | None,
    loaders: Sequence[Choice],
    settings: dict[str, dict[str, Any]],
    manifest: Manifest,
) -> Suite:
    """Return the suite whose loaders are compared with the limits of the machine.

    Without `name` and `loaders` these are all that can read the source. A loader that needs a
    setting, such as the folder of a pack, is included if the setting is given.

    Raises:
        PlanError: the suite does not exist, has a field that does not apply to limits, or a
            setting is for a loader that is not in it.
    """
    if name or loaders:
        suite = select_suite(name, loaders, settings, manifest)
        _check_of_limits(suite, f"--suite {name}")
        return suite
    trials = built_in_trials("limits", manifest, settings)
    return _with_settings(Suite(trial=list(trials)), settings)


def _check_of_limits(suite: Suite, given_by: str) -> None:
    """Check that every field of a suite says something about limits.

    Raises:
        PlanError: one does not.
    """
    given = suite.model_fields_set
    if "consumer" in given and suite.consumer != "drain":
        raise PlanError(
            f"{given_by}: consumer {suite.consumer}: limits discards all batches; set consumer = "
            '"drain", or use bench'
        )
    unused = {field: why for field, why in _NOT_OF_LIMITS.items() if field in given}
    if "early_stopping" in suite.timing.model_fields_set and suite.timing.early_stopping:
        unused["timing: early_stopping"] = "limits times all blocks"
    if any(choice.alone for choice in suite.trial):
        unused["trial: alone"] = "limits trains nothing"
    for field, why in unused.items():
        raise PlanError(f"{given_by}: {field}: {why}; remove it, or use bench")


def _with_settings(suite: Suite, settings: dict[str, dict[str, Any]]) -> Suite:
    return suite.model_copy(update={"trial": with_settings(suite.trial, settings)})
