"""diagnose: finds the bottleneck and predicts what would remove it."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer

from feedbench.bench.commands.devices import chosen_devices, warn_of_cpu
from feedbench.bench.commands.model_options import OptionValues, add_options, option
from feedbench.bench.commands.options import (
    ALPHA,
    BATCH_SIZE,
    DEVICES,
    FLIP,
    IMAGE_SIZE,
    INTERPOLATION,
    MODEL,
    RESIZE,
    Blacklist,
    Data,
    Json,
    Loader,
    Out,
    RecipeFile,
    Set,
    Tensorboard,
    list_images,
    readable_rows,
)
from feedbench.bench.commands.output import console, result_folder
from feedbench.bench.commands.overlay import chosen_loader, one_loader, recipe_of
from feedbench.bench.commands.own_model import fit_spec
from feedbench.bench.commands.run_diagnosis import run_diagnosis
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.accelerators import accelerator_of
from feedbench.bench.plan.plan import Choice, Suite, Timing
from feedbench.bench.plan.toml import parse_model
from feedbench.bench.trials.feasibility import check_feasible
from feedbench.bench.trials.sample import IMAGES
from feedbench.loaders import DEFAULT_LOADER, parse_spec
from feedbench.trainer import ONE, Recipe

_CONSUMER = option(
    Suite,
    "consumer",
    help="What takes the batches. train: the real trainer; emulated:NAME: an accelerator's "
    "published or calibrated training rate, such as emulated:a100.",
)
_CACHE_STATE = option(
    Timing,
    "cache_state",
    help="State of the page cache, or of the local cache of objects; proven in each block by the "
    "bytes that were read from the disk, or fetched. warm: all files are read beforehand; cold: "
    "files are evicted before they are read. By default warm if the files fit into half of the "
    "available memory or cannot be evicted, else cold.",
)


@add_options(
    _CONSUMER,
    DEVICES,
    _CACHE_STATE,
    BATCH_SIZE,
    IMAGE_SIZE,
    RESIZE,
    INTERPOLATION,
    FLIP,
    MODEL,
    ALPHA,
)
def diagnose(
    data: Data,
    given: OptionValues,
    loader: Loader = None,
    set_: Set = None,
    recipe: RecipeFile = None,
    seconds: Annotated[
        float,
        typer.Option(
            help="Time budget in seconds. At least three rounds run; after them, none starts that "
            "cannot finish within it.",
            min=1,
        ),
    ] = 120.0,
    images: Annotated[
        int,
        typer.Option(help="Measure at most this many images, drawn at random.", min=1),
    ] = IMAGES,
    what_if_storage: Annotated[
        float, typer.Option(help="Predict the rate with storage this many times as fast.", min=1)
    ] = 4.0,
    what_if_image_size: Annotated[
        int | None,
        typer.Option(
            help="Predict the rate with images of this height and width in pixels; by default "
            "half of the image size.",
            min=1,
        ),
    ] = None,
    rewrite: Annotated[
        bool,
        typer.Option(
            "--try",
            help="For a function of yours that returns a tf.data.Dataset: also measure it without "
            "each mistake that can be undone without changing your file.",
        ),
    ] = False,
    blacklist: Blacklist = None,
    tensorboard: Tensorboard = True,
    out: Out = None,
    json: Json = None,
) -> None:
    """A best.toml also sets batches, augmentation and recipe; options given here override it."""
    from feedbench.bench.diagnose.setup import DiagnosisPlan, DiagnosisTiming

    consumer = given[Suite].get("consumer", "train")
    if consumer != "train" and not consumer.startswith("emulated:"):
        raise PlanError(f"--consumer {consumer}: must be train or emulated:NAME")
    best = chosen_loader(one_loader(loader) or DEFAULT_LOADER, set_, given)
    devices = chosen_devices(given, best.devices if consumer == "train" else ONE)
    if consumer != "train" and devices != ONE:
        raise PlanError(f"--devices {devices}: needs --consumer train, got {consumer}")
    plan = DiagnosisPlan(
        choice=Choice(loader=best.loader, settings=best.settings),
        spec=parse_spec(best.spec),
        recipe=parse_model(Recipe, recipe_of(best.recipe, recipe, given), "recipe"),
        consumer=consumer,
        accelerator=accelerator_of(consumer),
        cache_state=parse_model(Timing, given[Timing], "options").cache_state,
        devices=devices,
        images=images,
        rewrite=rewrite,
        faster_storage=what_if_storage,
        other_image_size=what_if_image_size,
    )
    manifest, _ = readable_rows(
        list_images(data, blacklist).only("train"), [best.loader], console()
    )
    trained = plan.recipe if consumer == "train" else None
    check_feasible(plan.spec, manifest, [best.loader], trained, plan.devices)
    if consumer == "train":
        classes = len(manifest.classes)
        spec = fit_spec(plan.spec, plan.recipe, classes, given, [plan.choice], manifest)
        plan = replace(plan, spec=spec)
    folder = result_folder(out, "diagnose")
    warn_of_cpu(consumer, plan.recipe, devices)
    timing = DiagnosisTiming(budget_s=seconds)
    run_diagnosis(plan, manifest, folder, timing, json, tensorboard=tensorboard)
