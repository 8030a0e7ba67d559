"""What was given on the command line, laid over suite files, recipes and best.toml."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from feedbench.bench.analysis.best import Best, resolve_loader
from feedbench.bench.commands.model_options import OptionValues
from feedbench.bench.commands.options import TRAINING_SPEC, parse_set
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Choice, Failures, PixelCheck, Suite, Timing, merged_spec
from feedbench.bench.plan.settings import with_settings
from feedbench.bench.plan.toml import parse_model, read_toml
from feedbench.loaders import Augment, BatchSpec, find_loader, parse_settings, parse_spec
from feedbench.trainer import Recipe


def spec_of(given: OptionValues) -> dict[str, Any]:
    """The fields of a batch spec that were given, `--flip` among the augmentations."""
    augment = {**given[Augment], **given[BatchSpec].get("augment", {})}
    return {**given[BatchSpec], **({"augment": augment} if augment else {})}


def recipe_of(base: dict[str, Any], file: Path | None, given: OptionValues) -> dict[str, Any]:
    """A recipe's fields: those of the file, or without one of `base`, under single options.

    Raises:
        PlanError: the file cannot be read, or holds a field that is not valid.
    """
    if file is not None:
        base = read_toml(file)
        parse_model(Recipe, base, str(file))
    return {**base, **given[Recipe]}


def overlay(suite: Suite, recipe: Path | None, given: OptionValues) -> Suite:
    """A suite under what was given on the command line.

    Raises:
        PlanError: a field is not valid.
    """
    values = suite.model_dump(exclude_unset=True)
    changed = {
        "spec": merged_spec(TRAINING_SPEC, suite.spec, spec_of(given)),
        "recipe": recipe_of(suite.recipe, recipe, given),
        "timing": {**values.get("timing", {}), **given[Timing]},
        "failures": {**values.get("failures", {}), **given[Failures]},
        "pixels": {**values.get("pixels", {}), **given[PixelCheck]},
    }
    return parse_model(Suite, {**values, **changed, **given[Suite]}, "options")


def chosen_loaders(loaders: Sequence[str] | None) -> list[Choice]:
    """What `--loader` names, each with the settings of its best.toml if it has one.

    Raises:
        LoaderError: no loader has such a name.
        PlanError: a file is not a best.toml, or a folder has none.
    """
    best = map(resolve_loader, loaders or ())
    return [Choice(loader=one.loader, settings=one.settings) for one in best]


def chosen_loader(loader: str, sets: Sequence[str] | None, given: OptionValues) -> Best:
    """The one loader of a command, with its settings and spec under what was given.

    A changed spec or setting has no predicted rate.

    Raises:
        LoaderError: no loader has such a name, or a setting or the spec is not valid.
        PlanError: a file is not a best.toml, a folder has none, or `--set` is not valid.
    """
    best = resolve_loader(loader, TRAINING_SPEC)
    refuse_synthetic([best.loader])
    choice = Choice(loader=best.loader, settings=best.settings)
    (changed,) = with_settings([choice], parse_set(sets or (), several=False))
    parse_settings(find_loader(best.loader), changed.settings)
    spec = merged_spec(best.spec, spec_of(given))
    same = not sets and parse_spec(spec) == parse_spec(best.spec)
    values = {"settings": changed.settings, "spec": spec}
    return best.model_copy(update=values if same else {**values, "predicted": None})


def refuse_synthetic(loaders: Iterable[str]) -> None:
    """Refuse loaders that read no images.

    Raises:
        PlanError: there is one.
    """
    for name in loaders:
        if not find_loader(name).is_choice:
            raise PlanError(f"--loader {name}: synthetic images; choose a loader that reads files")
