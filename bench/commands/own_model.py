"""Fits the batches of a command to a user's own model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from feedbench.bench.commands.model_options import OptionValues
from feedbench.bench.commands.output import console
from feedbench.loaders import BatchSpec, Manifest
from feedbench.trainer import Recipe

if TYPE_CHECKING:
    from feedbench.bench.plan.plan import Choice, Plan


def fit_plan(plan: Plan, manifest: Manifest, given: OptionValues) -> Plan:
    """Return the plan with images of the size that its own model takes, if it has one."""
    from dataclasses import replace

    if plan.consumer != "train":
        return plan
    classes = len(manifest.classes)
    spec = fit_spec(plan.spec, plan.recipe, classes, given, plan.choices, manifest)
    return replace(plan, spec=spec)


def fit_spec(
    spec: BatchSpec,
    recipe: Recipe,
    classes: int,
    given: OptionValues,
    choices: Sequence[Choice] = (),
    manifest: Manifest | None = None,
) -> BatchSpec:
    """Return the spec with the image size that the recipe's own model takes, if it has one.

    Args:
        classes: number of classes of the data.
        choices: the loaders that give the batches.
        manifest: the training images; None compares no batches of the user's own loaders.

    Raises:
        LoaderError: there is no such file or function.
        PlanError: a loader of the user's own gives other batches than the model takes.
        TrialError: the model cannot be built, or does not fit the images or the classes.
    """
    from feedbench.bench.trials.model_facts import model_facts

    if not recipe.own_model:
        return spec
    terminal = console()
    with terminal.status(f"Building {recipe.network} …"):
        size = model_facts(recipe, spec, classes, choices, manifest).image_size
    if size in (None, spec.image_size):
        return spec
    unused = f"; --image-size {spec.image_size} is not used" * ("image_size" in given[BatchSpec])
    terminal.print(
        f"Images of {size} px: {recipe.network} takes no others{unused}.",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    return spec.model_copy(update={"image_size": size})
