"""The built-in suites: which loaders with which settings people should compare first."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Choice, Suite, read_suite
from feedbench.bench.plan.settings import with_settings
from feedbench.loaders import Manifest
from feedbench.loaders.explain import alternatives


def _choice(loader: str, **settings: object) -> Choice:
    return Choice(loader=loader, settings=settings)


QUICK = (
    _choice("keras_pil"),
    _choice("keras_directory"),
    _choice("tf_data", num_parallel_calls=1, prefetch=0),
    _choice("tf_data"),
    _choice("tf_data", cache="decoded"),
    _choice("turbo"),
    _choice("turbo", cache="decoded"),
)
STANDARD = (
    _choice("keras_pil"),
    _choice("keras_pil", workers=[2, 4]),
    _choice("keras_pil", workers=2, use_multiprocessing=True),
    _choice("keras_directory"),
    _choice("tf_data", num_parallel_calls=1, prefetch=0),
    _choice("tf_data", num_parallel_calls=1),
    _choice("tf_data", prefetch=0),
    _choice("tf_data", prefetch=["autotune", 4]),
    _choice("tf_data", decode="jpeg"),
    _choice("tf_data", output="float32"),
    _choice("tf_data", private_threads=2),
    _choice("tf_data", cache=["encoded", "decoded", "disk"]),
    _choice("turbo", cache=["none", "decoded"]),
    _choice("turbo", output="float32"),
)
LIMITS = (
    _choice("keras_pil"),
    _choice("keras_directory"),
    _choice("tf_data", decode=["image", "scaled"]),
    _choice("turbo", decode=["full", "scaled"]),
    _choice("turbo", cache="decoded"),
)
SUITES = {"quick": QUICK, "standard": STANDARD}


def suited(choices: tuple[Choice, ...], manifest: Manifest) -> tuple[Choice, ...]:
    """Those of a built-in suite that can read this kind of source."""
    if manifest.layout != "csv":
        return choices
    return tuple(choice for choice in choices if choice.loader != "keras_directory")


def named_suite(
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
        chosen = Suite(trial=list(suited(SUITES[name or "quick"], manifest)))
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
    """What is held against the machine's limits: `packed` too if its pack is named.

    Raises:
        PlanError: a setting of a loader that is not among them.
    """
    if loaders:
        return named_suite(None, loaders, settings, manifest)
    trials = [*suited(LIMITS, manifest)]
    if "packed" in settings:
        trials.append(Choice(loader="packed"))
    return _with_settings(Suite(trial=trials), settings)


def _with_settings(suite: Suite, settings: dict[str, dict[str, Any]]) -> Suite:
    return suite.model_copy(update={"trial": with_settings(suite.trial, settings)})
