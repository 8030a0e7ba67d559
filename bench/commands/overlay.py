"""Options of the command line override suite files, recipes and best.toml."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from feedbench.bench.analysis.best import Best, resolve_loader
from feedbench.bench.commands.model_options import OptionValues
from feedbench.bench.commands.option_values import parse_set
from feedbench.bench.commands.options import TRAINING_SPEC
from feedbench.bench.differences import differing
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import (
    Choice,
    Failures,
    PixelCheck,
    Suite,
    Timing,
    check_choice,
    merged_spec,
)
from feedbench.bench.plan.settings import single, with_settings
from feedbench.bench.plan.toml import NO_RECIPE, parse_model, read_toml
from feedbench.loaders import Augment, BatchSpec, check_package, find_loader, parse_spec
from feedbench.trainer import OF_APPLICATIONS, Recipe, is_own_model


def spec_of(given: OptionValues) -> dict[str, Any]:
    """Return the given fields of the batch spec; `--flip` becomes one of its augmentations."""
    augment = {**given[Augment], **given[BatchSpec].get("augment", {})}
    return {**given[BatchSpec], **({"augment": augment} if augment else {})}


def recipe_of(base: dict[str, Any], file: Path | None, given: OptionValues) -> dict[str, Any]:
    """Return the fields of a recipe: those of the file, or else of `base`; options override both.

    Raises:
        PlanError: the file cannot be read, or a field is not valid.
    """
    if file is not None:
        base = read_toml(file, NO_RECIPE)
        parse_model(Recipe, base, str(file))
    if is_own_model(given[Recipe].get("network", "")):
        # What a recipe says of another network is no decision about this one.
        base = {name: value for name, value in base.items() if name not in OF_APPLICATIONS}
    return {**base, **given[Recipe]}


def overlay(suite: Suite, recipe: Path | None, given: OptionValues) -> Suite:
    """Return the suite with the options of the command line in place of its fields.

    Args:
        recipe: file that replaces the recipe of the suite.

    Raises:
        PlanError: a field is not valid.
    """
    values = suite.model_dump(exclude_unset=True)
    overridden = {
        "spec": merged_spec(TRAINING_SPEC, suite.spec, spec_of(given)),
        "recipe": recipe_of(suite.recipe, recipe, given),
        "timing": {**values.get("timing", {}), **given[Timing]},
        "failures": {**values.get("failures", {}), **given[Failures]},
        "pixels": {**values.get("pixels", {}), **given[PixelCheck]},
    }
    return parse_model(Suite, {**values, **overridden, **given[Suite]}, "options")


def chosen_loaders(loaders: Sequence[str] | None) -> list[Choice]:
    """Return the loaders that `--loader` names, with the settings of their best.toml, if any.

    Raises:
        LoaderError: no loader has that name, or what it needs is not installed.
        PlanError: a file is not a best.toml, a folder has none, or two are the same.
    """
    named: dict[str, Choice] = {}
    for name in loaders or ():
        best = resolve_loader(name)
        check_package(best.loader)
        choice = Choice(loader=best.loader, settings=single(best.settings))
        if str(choice) in named:
            raise PlanError(
                f"--loader {name}: {choice} is given twice; several values of a setting are given "
                "by --set LOADER.NAME=VALUE,VALUE"
            )
        named[str(choice)] = choice
    return list(named.values())


def one_loader(loaders: Sequence[str] | None) -> str | None:
    """Return the loader that `--loader` names, for a command that takes one; None without any.

    Raises:
        PlanError: several are named.
    """
    if loaders and len(loaders) > 1:
        raise PlanError(
            f"--loader: this command takes one loader, got {' and '.join(loaders)}; feedbench "
            "bench compares several"
        )
    return loaders[0] if loaders else None


def chosen_loader(loader: str, sets: Sequence[str] | None, given: OptionValues) -> Best:
    """Return the loader that `--loader` names, with its settings and batch spec overridden.

    The predicted rate is removed if a setting or the spec changes.

    Args:
        sets: the values of `--set`.

    Raises:
        LoaderError: no loader has that name, what it needs is not installed, a setting or the spec
            is not valid, or they do not go together.
        PlanError: a file is not a best.toml, a folder has none, or `--set` is not valid.
    """
    best = resolve_loader(loader, TRAINING_SPEC)
    check_package(best.loader)
    refuse_synthetic([best.loader])
    choice = Choice(loader=best.loader, settings=best.settings)
    (choice,) = with_settings([choice], parse_set(sets or (), [loader], several=False))
    spec = merged_spec(best.spec, spec_of(given))
    check_choice(choice, parse_spec(spec))
    values = {"settings": choice.settings, "spec": spec}
    if sets:
        return best.without_rate("--set gives other settings than were measured", **values)
    if changes := _other_batches(choice, spec, best.spec):
        return best.without_rate(f"other batches were measured: {changes}", **values)
    return best.model_copy(update=values)


def _other_batches(choice: Choice, spec: dict[str, Any], measured: dict[str, Any]) -> str:
    """Return in what the batches of a loader differ with two specs; empty if in nothing.

    A value range only says what the values of a user's own batches mean.
    """
    from feedbench.bench.compare.subject import spec_facts

    before, now = spec_facts(measured), spec_facts(spec)
    own = find_loader(choice.loader).own
    if own is not None and not own.takes("spec"):
        before.pop("value_range", None)
    return differing(before, now)


def refuse_synthetic(loaders: Iterable[str], given_by: str = "--loader") -> None:
    """Check that every loader reads images.

    Args:
        loaders: their names.
        given_by: what comes before a name in the message.

    Raises:
        PlanError: a loader makes synthetic images.
    """
    for name in loaders:
        if not find_loader(name).is_choice:
            raise PlanError(
                f"{given_by} {name}: synthetic images; choose a loader that reads files"
            )
