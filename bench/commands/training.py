"""train: the full training, held against the promised rate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.commands.options import (
    TRAINING_SPEC,
    Alpha,
    Antialias,
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
    Resize,
    Sets,
    given_only,
    listed,
    readable,
    spec_values,
)
from bench.commands.output import console, libraries_to, result_folder

if TYPE_CHECKING:
    from bench.choose import Best
    from bench.plan import Failures
    from loaders import Manifest
    from trainer import Recipe


def train(
    data: Data,
    loader: Annotated[
        str, typer.Option(help="The best.toml of a bench, or a loader by name.")
    ] = "tf_data",
    set_: Sets = None,
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
    alpha: Alpha = None,
    blacklist: Blacklist = None,
    on_error: OnError = None,
    error_budget: ErrorBudget = None,
    out: Out = None,
    json: Json = None,
) -> None:
    """Train MobileNetV2 from scratch with a loader, and hold its rate against the promise."""
    from bench.choose import Best, read_best
    from bench.plan import Failures, parse_model, settings_for
    from loaders import find_loader, parse_settings, parse_spec
    from trainer import Recipe

    best = (
        read_best(Path(loader))
        if loader.endswith(".toml")
        else Best(loader=loader, spec=TRAINING_SPEC)
    )
    spec = spec_values(batch_size, image_size, resize, interpolation, antialias, flip, orientation)
    changed = {name: value for name, value in spec.items() if best.spec.get(name) != value}
    best = best.model_copy(
        update={
            "spec": {**best.spec, **spec},
            "settings": {**best.settings, **settings_for(best.loader, set_ or [])},
            "predicted": best.predicted if not changed and not set_ else None,
        }
    )
    recipe = parse_model(
        Recipe,
        {
            **best.recipe,
            **given_only(
                {"alpha": alpha, "epochs": epochs, "base_learning_rate": base_learning_rate}
            ),
        },
        "recipe",
    )
    parse_spec(best.spec)
    parse_settings(find_loader(best.loader), best.settings)
    given = given_only({"on_error": on_error, "error_budget": error_budget})
    failures = parse_model(Failures, given, "options")
    # What is held out is always read by tf_data.
    manifest, _ = readable(listed(data, blacklist), [best.loader, "tf_data"], console())
    run_training(best, recipe, manifest, result_folder(out, "train"), json, failures)


def run_training(
    best: Best,
    recipe: Recipe,
    manifest: Manifest,
    folder: Path,
    json: Path | None,
    failures: Failures | None = None,
) -> None:
    """Train, show how it goes and how it ended."""
    from bench.plan import Failures
    from bench.record import write_json
    from bench.train import train as train_with
    from bench.train_progress import train_progress

    terminal = console()
    manifest.only("validation")
    images = len(manifest.only("train")) * recipe.epochs
    try:
        with (
            train_progress(terminal, images, recipe.epochs) as (on_epoch, on_step),
            libraries_to(folder / "train.log"),
        ):
            result = train_with(
                best,
                recipe,
                manifest,
                folder,
                on_epoch=on_epoch,
                on_step=on_step,
                failures=failures or Failures(),
            )
    except KeyboardInterrupt:
        raise KeyboardInterrupt(f"interrupted; the epochs that were done are in {folder}") from None
    if json is not None:
        write_json(json, result)
    if result["test"] is not None:
        terminal.print(
            f"Test accuracy: {result['test']['accuracy']:.1%} of "
            f"{sum(result['images']['test'].values()):,} images",
            highlight=False,
        )
    terminal.print(result["promise"]["text"], style="bold", highlight=False)
    terminal.print(f"Model and history: {folder}", highlight=False, soft_wrap=True)
