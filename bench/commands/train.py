"""train: the full training, held against the promised rate."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from feedbench.bench.commands.options import (
    TRAINING_SPEC,
    Alpha,
    Antialias,
    Augmentations,
    Balance,
    BatchSize,
    Blacklist,
    Data,
    ErrorBudget,
    Flip,
    ImageSize,
    Interpolation,
    Json,
    OnError,
    Orientation,
    Out,
    Range,
    Resize,
    Sets,
    given_only,
    listed,
    readable,
    spec_values,
)
from feedbench.bench.commands.output import console, libraries_to, result_folder

if TYPE_CHECKING:
    from rich.console import Console

    from feedbench.bench.analysis.best import Best
    from feedbench.bench.plan.plan import Failures
    from feedbench.bench.training.train import Keep
    from feedbench.loaders import Manifest
    from feedbench.trainer import Recipe

RecipeFile = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        help="A TOML file of the recipe's fields (feedbench recipe lists them). It replaces the "
        "recipe of a best.toml.",
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        help="Fine-tune from these: imagenet, or a .keras or .weights.h5 file of the same "
        "network; its classes may be others. (default: none, from scratch)"
    ),
]


def train(
    data: Data,
    loader: Annotated[
        str | None,
        typer.Option(help="The best.toml of a bench, or a loader by name. (default: tf_data)"),
    ] = None,
    set_: Sets = None,
    recipe: RecipeFile = None,
    weights: Weights = None,
    epochs: Annotated[int | None, typer.Option(help="(default: 40)")] = None,
    base_learning_rate: Annotated[
        float | None,
        typer.Option(help="Peak rate at a batch of 256; it scales with the batch. (default: 0.4)"),
    ] = None,
    batch_size: BatchSize = None,
    image_size: ImageSize = None,
    resize: Resize = None,
    interpolation: Interpolation = None,
    antialias: Antialias = None,
    orientation: Orientation = None,
    flip: Flip = None,
    augment: Augmentations = None,
    value_range: Range = None,
    balance: Balance = None,
    alpha: Alpha = None,
    blacklist: Blacklist = None,
    on_error: OnError = None,
    error_budget: ErrorBudget = None,
    checkpoint_seconds: Annotated[
        float, typer.Option(help="A checkpoint in mid-epoch after so many; 0: none.", min=0)
    ] = 300.0,
    checkpoint_steps: Annotated[
        int, typer.Option(help="A checkpoint in mid-epoch after so many; 0: none.", min=0)
    ] = 0,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard/--no-tensorboard", help="Write logs for TensorBoard.")
    ] = True,
    profile: Annotated[
        str | None,
        typer.Option(help="Steps for TensorFlow's profiler, FIRST-LAST, such as 50-60."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Go on with the training of this folder, as it was begun: no option changes what "
            "is trained; give those of how it runs again."
        ),
    ] = None,
    out: Out = None,
    json: Json = None,
) -> None:
    """Train from scratch or fine-tune with a loader, and hold its rate against the promise."""
    from feedbench.bench.plan.plan import Failures, parse_model
    from feedbench.bench.training.train import Keep

    given = given_only({"on_error": on_error, "error_budget": error_budget})
    failures = parse_model(Failures, given, "options")
    keep = Keep(checkpoint_seconds, checkpoint_steps, tensorboard, _window(profile))
    spec = spec_values(
        batch_size,
        image_size,
        resize,
        interpolation,
        antialias,
        flip,
        orientation,
        augment,
        value_range,
        balance,
    )
    changes = given_only(
        {
            "weights": weights,
            "alpha": alpha,
            "epochs": epochs,
            "base_learning_rate": base_learning_rate,
        }
    )
    if resume is not None:
        fixed = given_only({"loader": loader, "set": set_, "recipe": recipe, "out": out})
        best, made = _begun(resume, [*fixed, *spec, *changes])
        folder = resume
    else:
        best = _chosen(loader or "tf_data", set_, spec)
        made = _recipe(best, recipe, changes)
    # What is held out is always read by tf_data.
    manifest, _ = readable(listed(data, blacklist), [best.loader, "tf_data"], console())
    if resume is None:
        folder = result_folder(out, "train")
    again = _again(data, folder, {"blacklist": blacklist, **given})
    going_on = resume is not None
    run_training(best, made, manifest, folder, json, failures, keep, resume=going_on, again=again)


def _again(data: str, folder: Path, options: dict[str, Any]) -> str:
    """The command that goes on with a training, with what its folder does not keep."""
    words = ["feedbench", "train", data, "--resume", str(folder)]
    for name, value in given_only(options).items():
        words += [f"--{name.replace('_', '-')}", str(value)]
    return shlex.join(words)


def _begun(folder: Path, given: list[str]) -> tuple[Best, Recipe]:
    """What a training began with, which no option may change."""
    from feedbench.bench.errors import PlanError
    from feedbench.bench.training.folder import read_beginning

    for name in given:
        raise PlanError(
            f"--resume goes on as the training began; leave out --{name.replace('_', '-')}"
        )
    return read_beginning(folder)


def _chosen(loader: str, set_: list[str] | None, spec: dict[str, Any]) -> Best:
    """The loader with its settings and spec; a changed one has no predicted rate."""
    from feedbench.bench.analysis.best import Best, read_best
    from feedbench.bench.plan.plan import merged_spec, settings_for
    from feedbench.loaders import find_loader, parse_settings, parse_spec

    best = (
        read_best(Path(loader))
        if loader.endswith(".toml")
        else Best(loader=loader, spec=TRAINING_SPEC)
    )
    asked = merged_spec(best.spec, spec)
    changed = parse_spec(asked) != parse_spec(best.spec)
    best = best.model_copy(
        update={
            "spec": asked,
            "settings": {**best.settings, **settings_for(best.loader, set_ or [])},
            "predicted": best.predicted if not changed and not set_ else None,
        }
    )
    parse_spec(best.spec)
    parse_settings(find_loader(best.loader), best.settings)
    return best


def _recipe(best: Best, file: Path | None, changes: dict[str, Any]) -> Recipe:
    """The recipe of a file, or of the bench, with what the options change."""
    from feedbench.bench.plan.plan import parse_model, read_toml
    from feedbench.trainer import Recipe

    values = best.recipe if file is None else read_toml(file)
    return parse_model(Recipe, {**values, **changes}, str(file or "recipe"))


def _window(text: str | None) -> tuple[int, int] | None:
    """First and last step of `FIRST-LAST`."""
    from feedbench.bench.errors import PlanError

    if text is None:
        return None
    first, dash, last = text.partition("-")
    if not (dash and first.isdecimal() and last.isdecimal() and 1 <= int(first) <= int(last)):
        raise PlanError(f"--profile {text}: must be FIRST-LAST, steps from 1 on, such as 50-60")
    return int(first), int(last)


def run_training(
    best: Best,
    recipe: Recipe,
    manifest: Manifest,
    folder: Path,
    json: Path | None,
    failures: Failures | None = None,
    keep: Keep | None = None,
    *,
    resume: bool = False,
    again: str | None = None,
) -> None:
    """Train, show how it goes and how it ended."""
    from feedbench.bench.errors import InterruptedRun
    from feedbench.bench.plan.plan import Failures
    from feedbench.bench.record import write_json
    from feedbench.bench.signals import stop_on_sigterm
    from feedbench.bench.training.progress import train_progress
    from feedbench.bench.training.train import train as train_with
    from feedbench.loaders import images_per_epoch, parse_spec, printable
    from feedbench.trainer.fit import TrainingStopped
    from feedbench.trainer.weights import warnings as weights_warnings

    terminal = console()
    manifest.only("validation")
    spec = parse_spec(best.spec)
    each = images_per_epoch(manifest.only("train"), spec).tolist()
    counts = dict(zip(map(printable, manifest.classes), each, strict=True))
    images = sum(each)
    notes = recipe.warnings(spec.batch_size, images)
    if not resume:
        notes += weights_warnings(recipe, spec.value_range, spec.scale, spec.offset)
    for line in notes:
        terminal.print(f"Note: {line}", highlight=False, soft_wrap=True)
    if spec.balance:
        told = ", ".join(f"{count:,} {name}" for name, count in counts.items())
        terminal.print(f"An epoch's images: {told}", highlight=False, soft_wrap=True, markup=False)
    go_on = again or _again("DATA", folder, {})
    try:
        with (
            stop_on_sigterm() as stop,
            train_progress(terminal, images * recipe.epochs, recipe.epochs, stop) as watch,
            libraries_to(folder / "train.log"),
        ):
            result = train_with(
                best,
                recipe,
                manifest,
                folder,
                watch=watch,
                keep=keep,
                resume=resume,
                failures=failures or Failures(),
            )
    except TrainingStopped:
        terminal.print(f"Stopped and kept. Go on: {go_on}", highlight=False, soft_wrap=True)
        return
    except KeyboardInterrupt:
        raise InterruptedRun(f"interrupted; go on from the checkpoint: {go_on}") from None
    if json is not None:
        write_json(json, result)
    _tell(terminal, result, folder)


def _tell(terminal: Console, result: dict[str, Any], folder: Path) -> None:
    """What came of it."""
    from rich.table import Table

    from feedbench.bench.training.folder import TRAINING

    if result["test"] is not None:
        images = sum(line["images"] for line in result["per_class"])
        shown = Table("class", "test images", "recall", "precision")
        for line in result["per_class"]:
            shares = (line["recall"], line["precision"])
            told = ("–" if share is None else f"{share:.1%}" for share in shares)
            shown.add_row(line["name"], f"{line['images']:,}", *told)
        terminal.print(shown)
        terminal.print(
            f"Test accuracy: {result['test']['accuracy']:.1%} of {images:,} images",
            highlight=False,
        )
    if lost := result["dropped"]:
        text = f"{len(lost)} files failed and were passed over, as {TRAINING} tells; the first: "
        terminal.print(f"{text}{lost[0]['path']}", highlight=False, markup=False, soft_wrap=True)
    terminal.print(result["promise"]["text"], style="bold", highlight=False)
    terminal.print(f"Model and history: {folder}", highlight=False, soft_wrap=True)
