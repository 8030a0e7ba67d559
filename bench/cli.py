"""The command line. Only it prints."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.options import (
    Alpha,
    Antialias,
    BatchSize,
    Data,
    Flip,
    ImageSize,
    Interpolation,
    Json,
    Loaders,
    Out,
    Resize,
    Sets,
    given_only,
    spec_values,
)

if TYPE_CHECKING:
    from rich.console import Console

    from bench.plan import Choice, Plan, Suite
    from loaders import Manifest

DONE, NOTHING_DONE, WRONG_USE, INTERRUPTED = 0, 1, 2, 130
TRAINING_SPEC = {"augment": ["horizontal_flip"]}  # what a training from scratch wants by default

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False,
                  help="How fast each input pipeline feeds your trainer, which one to take, and "
                       "the training with it.")


def main() -> None:
    """Run the command; a user's mistake is one line, never a traceback."""
    try:
        app()
    except KeyboardInterrupt as error:
        _fail(str(error) or "interrupted", INTERRUPTED)
    except Exception as error:
        _fail(str(error), _exit_code(error))


def _exit_code(error: Exception) -> int:
    """What the error means to the shell; one that is no user's mistake is raised again."""
    # Imported here: `--help` must not wait for what the loaders import.
    from bench.errors import BenchError
    from loaders.errors import ImageError, LoaderError

    if isinstance(error, ImageError):
        return NOTHING_DONE
    if isinstance(error, BenchError | LoaderError):
        return WRONG_USE
    raise error


def _fail(text: str, code: int) -> None:
    print(f"feedbench: {text}", file=sys.stderr)
    sys.exit(code)


@app.command(epilog="Example: feedbench scan photos/ --out photos.parquet")
def scan(
    data: Data,
    out: Annotated[Path | None, typer.Option(help="Keep the manifest as Parquet.")] = None,
    seed: Annotated[int, typer.Option(help="Decides which images are held out.", min=0)] = 0,
    validation: Annotated[float, typer.Option(
        help="Share held out for validation where the source has no splits.")] = 0.1,
    test: Annotated[float, typer.Option(
        help="Share held out for testing where the source has no splits.")] = 0.1,
    json: Json = None,
) -> None:
    """List the images of a source: classes, splits, counts."""
    from rich.table import Table

    from bench.record import write_json
    from loaders import SPLITS
    from loaders import scan as scan_source

    manifest = scan_source(data, seed=seed, validation=validation, test=test)
    counts = manifest.counts()
    shown = Table("class", *SPLITS, caption=f"{len(manifest):,} images")
    for name in manifest.classes:
        shown.add_row(name, *(f"{counts[split][name]:,}" for split in SPLITS))
    _console().print(shown)
    if out is not None:
        manifest.write(out)
    if json is not None:
        write_json(json, {"images": len(manifest), "classes": list(manifest.classes),
                          "layout": manifest.layout, "counts": counts})


@app.command(epilog="Example: feedbench bench photos/ --suite quick --alpha 0.35 --image-size 96 "
                    "--batch-size 64")
def bench(
    data: Data,
    suite: Annotated[str | None, typer.Option(
        help="quick, standard, or a TOML file. [default: quick unless --loader is given]")] = None,
    loader: Loaders = None,
    set_: Sets = None,
    consumer: Annotated[str | None, typer.Option(
        help="train: the real trainer; drain: nothing, the loader alone. [default: train]")] = None,
    blocks: Annotated[int | None, typer.Option(help="Timed blocks a trial. [default: 5]")] = None,
    block_seconds: Annotated[float | None, typer.Option(
        help="Least length of a block. [default: 4]")] = None,
    warm_up_seconds: Annotated[float | None, typer.Option(
        help="Least warm-up before the first block. [default: 5]")] = None,
    time_limit: Annotated[float | None, typer.Option(
        help="Seconds that one trial may take in all. [default: 900]")] = None,
    seed: Annotated[int | None, typer.Option(
        help="Decides how the blocks are interleaved. [default: 0]")] = None,
    batch_size: BatchSize = None, image_size: ImageSize = None, resize: Resize = None,
    interpolation: Interpolation = None, antialias: Antialias = None, flip: Flip = None,
    alpha: Alpha = None, out: Out = None, json: Json = None,
) -> None:
    """Measure each loader while it feeds the real trainer, and choose the best."""
    from bench.plan import Suite, parse_model, parse_set
    from loaders import scan as scan_source

    manifest = scan_source(data).only("train")
    settings = parse_set(set_ or [])
    chosen = _suite(suite, loader, settings, manifest)
    overrides: dict[str, Any] = {
        "spec": {**TRAINING_SPEC, **chosen.spec, **spec_values(
            batch_size, image_size, resize, interpolation, antialias, flip)},
        "recipe": {**chosen.recipe, **given_only({"alpha": alpha})},
        "timing": {**chosen.timing.model_dump(exclude_unset=True), **given_only({
            "blocks": blocks, "block_seconds": block_seconds, "warm_up_seconds": warm_up_seconds,
            "time_limit": time_limit, "seed": seed})},
        "consumer": consumer or chosen.consumer, "trial": chosen.model_dump()["trial"],
    }
    plan = _plan(parse_model(Suite, overrides, "options"))
    _bench(plan, manifest, _folder(out, "bench"), json, data)


def _suite(name: str | None, loaders: list[str] | None, settings: dict[str, dict[str, Any]],
           manifest: Manifest) -> Suite:
    """The suite that was named, or one of the loaders that were, with `--set` applied."""
    from bench.errors import PlanError
    from bench.plan import Choice, Suite, read_suite
    from bench.suites import SUITES, suited

    if name and loaders:
        raise PlanError("--suite and --loader: give one of them")
    if loaders:
        trials = tuple(Choice(loader=one, settings=settings.pop(one, {})) for one in loaders)
        chosen = Suite(trial=list(trials))
    elif (name or "quick") in SUITES:
        chosen = Suite(trial=list(suited(SUITES[name or "quick"], manifest)))
    elif Path(str(name)).suffix == ".toml":
        chosen = read_suite(Path(str(name)))
    else:
        raise PlanError(f"--suite {name}: no such suite; there are {', '.join(SUITES)}, or give a "
                        ".toml file")
    return _with_settings(chosen, settings)


def _with_settings(suite: Suite, settings: dict[str, dict[str, Any]]) -> Suite:
    """Every trial of a loader gets what was set for it."""
    from bench.errors import PlanError

    there = {choice.loader for choice in suite.trial}
    for loader in settings:
        if loader not in there:
            raise PlanError(f"--set {loader}.…: no trial of {loader}; name it by --loader too")
    trials = [choice.model_copy(update={"settings": {**choice.settings,
                                                     **settings.get(choice.loader, {})}})
              for choice in suite.trial]
    return suite.model_copy(update={"trial": trials})


def _plan(suite: Suite) -> Plan:
    from bench.plan import Plan, expand, parse_model, with_ceiling
    from loaders import parse_spec
    from trainer import Recipe

    return Plan(
        choices=with_ceiling(expand(suite.trial), suite.consumer), spec=parse_spec(suite.spec),
        recipe=parse_model(Recipe, suite.recipe, "recipe"), consumer=suite.consumer,
        timing=suite.timing)


def _bench(plan: Plan, manifest: Manifest, folder: Path, json: Path | None,
           data: str) -> Path | None:
    """Run a plan, keep and show its results; the best.toml if there is a winner."""
    from bench.choose import write_best
    from bench.environment import environment
    from bench.progress import bench_progress
    from bench.record import read_trials, write_json
    from bench.run import run
    from bench.summary import summarize

    console, facts = _console(), environment()
    write_json(folder / "environment.json", facts)
    interrupted = False
    try:
        with bench_progress(console) as report:
            run(plan, manifest, folder, report)
    except KeyboardInterrupt:
        interrupted = True
    trials = read_trials(folder)
    summary = summarize(trials)
    for path in filter(None, (folder / "summary.json", json)):
        write_json(path, summary.model_dump())
    best = write_best(folder, trials, summary, facts)
    _show(console, trials, summary)
    console.print(f"Records: {folder}", highlight=False, soft_wrap=True)
    if interrupted:
        timed = sum(trial.blocks for trial in summary.trials)
        raise KeyboardInterrupt(f"{timed} blocks were timed; they are in {folder}")
    if best is None:
        raise typer.Exit(NOTHING_DONE)
    console.print(f"Next: feedbench train {data} --loader {best}", highlight=False, soft_wrap=True)
    return best


def _show(console: Console, trials: list[Any], summary: Any) -> None:
    from bench.table import headline, table, verdict

    console.print(headline(trials), highlight=False)
    console.print(table(summary))
    console.print(verdict(summary), style="bold", highlight=False)


@app.command(epilog="Example: feedbench show results/bench-20260101-120000")
def show(
    result: Annotated[Path, typer.Argument(help="The folder that a bench wrote.")],
    json: Json = None,
) -> None:
    """Show the table of an earlier bench, derived anew from its raw record."""
    from bench.record import read_trials, write_json
    from bench.summary import summarize

    trials = read_trials(result)
    summary = summarize(trials)
    _show(_console(), trials, summary)
    if json is not None:
        write_json(json, summary.model_dump())
    if summary.winner is None:
        raise typer.Exit(NOTHING_DONE)


@app.command(epilog="Example: feedbench train photos/ --loader results/bench-…/best.toml "
                    "--epochs 20")
def train(
    data: Data,
    loader: Annotated[str, typer.Option(
        help="The best.toml of a bench, or a loader by name.")] = "tf_data",
    set_: Sets = None,
    epochs: Annotated[int | None, typer.Option(help="[default: 40]")] = None,
    base_learning_rate: Annotated[float | None, typer.Option(
        help="Peak rate at a batch of 256; it scales with the batch. [default: 0.4]")] = None,
    batch_size: BatchSize = None, image_size: ImageSize = None, resize: Resize = None,
    interpolation: Interpolation = None, antialias: Antialias = None, flip: Flip = None,
    alpha: Alpha = None, out: Out = None, json: Json = None,
) -> None:
    """Train MobileNetV2 from scratch with a loader, and hold its rate against the promise."""
    from bench.choose import Best, read_best
    from bench.plan import parse_model, parse_set
    from loaders import find_loader, parse_settings
    from loaders import scan as scan_source
    from trainer import Recipe

    best = read_best(Path(loader)) if loader.endswith(".toml") else Best(
        loader=loader, spec=TRAINING_SPEC)
    spec = spec_values(batch_size, image_size, resize, interpolation, antialias, flip)
    changed = {name: value for name, value in spec.items() if best.spec.get(name) != value}
    best = best.model_copy(update={
        "spec": {**best.spec, **spec},
        "settings": {**best.settings, **parse_set(set_ or []).pop(best.loader, {})},
        "predicted": best.predicted if not changed and not set_ else None})
    recipe = parse_model(Recipe, {**best.recipe, **given_only({
        "alpha": alpha, "epochs": epochs, "base_learning_rate": base_learning_rate})}, "recipe")
    parse_settings(find_loader(best.loader), best.settings)
    _train(best, recipe, scan_source(data), _folder(out, "train"), json)


def _train(best: Any, recipe: Any, manifest: Manifest, folder: Path, json: Path | None) -> None:
    from bench.record import write_json
    from bench.train import train as train_with
    from bench.train_progress import train_progress

    console = _console()
    manifest.only("validation")
    images = len(manifest.only("train")) * recipe.epochs
    with train_progress(console, images, recipe.epochs) as (on_epoch, on_step):
        result = train_with(best, recipe, manifest, folder, on_epoch=on_epoch, on_step=on_step)
    if json is not None:
        write_json(json, result)
    if result["test"] is not None:
        console.print(f"Test accuracy: {result['test']['accuracy']:.1%} of "
                      f"{sum(result['images']['test'].values()):,} images", highlight=False)
    console.print(result["promise"]["text"], style="bold", highlight=False)
    console.print(f"Model and history: {folder}", highlight=False, soft_wrap=True)


@app.command("make-data", epilog="Example: feedbench make-data photos/ --images 1000 --preset web")
def make_data(
    folder: Annotated[Path, typer.Argument(help="Where to write; new or empty.")],
    images: Annotated[int, typer.Option(help="How many.", min=1)] = 1000,
    preset: Annotated[str, typer.Option(
        help="imagenet: 468 × 401 px, 110 kB; web: 420 × 520 px, 28 kB; mixed: web, some as PNG "
             "and WebP.")] = "web",
    seed: Annotated[int, typer.Option(help="The same seed gives the same bytes.", min=0)] = 0,
    json: Json = None,
) -> None:
    """Generate photographs with natural statistics, in folders of classes to train on."""
    from dataclasses import asdict

    from bench.progress import counted
    from bench.record import write_json
    from bench.sample import make_data as make

    console = _console()
    with counted(console, "images", images) as advance:
        made = make(folder, images=images, preset=preset, seed=seed, advance=advance)
    console.print(f"{made.images:,} images of {made.classes} classes in {folder}: mean "
                  f"{made.mean_width:.0f} × {made.mean_height:.0f} px, "
                  f"{made.mean_bytes / 1000:.0f} kB, {made.bits_per_pixel:.1f} bits a pixel",
                  highlight=False, soft_wrap=True)
    if json is not None:
        write_json(json, asdict(made))


@app.command(epilog="Example: feedbench loaders")
def loaders(json: Json = None) -> None:
    """What loaders there are, with their settings and what each costs."""
    from rich.table import Table

    from bench.record import write_json
    from loaders import LOADERS

    console = _console()
    for loader in LOADERS.values():
        console.print(f"[bold]{loader.name}[/]: {loader.summary}", highlight=False)
        fields = loader.settings.model_fields
        if fields:
            shown = Table("setting", "default", "what it does and costs", box=None, padding=(0, 2))
            for name, field in fields.items():
                shown.add_row(name, str(field.default), field.description)
            console.print(shown)
    if json is not None:
        write_json(json, {loader.name: {
            "summary": loader.summary, "follows_order": loader.follows_order,
            "settings": loader.settings.model_json_schema().get("properties", {}),
        } for loader in LOADERS.values()})


@app.command(epilog="Example: feedbench quickstart --out first-try")
def quickstart(
    out: Annotated[Path, typer.Option(help="Folder for everything, new or empty.")] = Path(
        "quickstart"),
    images: Annotated[int, typer.Option(help="Photographs to generate.", min=100)] = 600,
) -> None:
    """The main job on generated photographs: make data, bench, train with the winner."""
    from bench.choose import read_best
    from bench.plan import Suite, Timing
    from bench.record import new_folder
    from bench.suites import QUICK
    from loaders import scan as scan_source
    from trainer import Recipe

    new_folder(out)
    console, photos = _console(), out / "photos"
    console.print("[bold]1. Generated photographs[/]")
    make_data(photos, images=images)
    console.print("[bold]2. Which loader feeds the trainer fastest?[/] A small network and small "
                  "images, so that two cores are enough.")
    suite = Suite(
        timing=Timing(block_seconds=2, warm_up_seconds=2), recipe={"alpha": 0.35, "epochs": 4},
        spec={**TRAINING_SPEC, "batch_size": 32, "image_size": 96}, trial=list(QUICK))
    manifest = scan_source(photos)
    best = _bench(_plan(suite), manifest.only("train"), new_folder(out / "bench"), None,
                  str(photos))
    console.print("[bold]3. The training with the winner[/]")
    assert best is not None
    chosen = read_best(best)
    _train(chosen, Recipe.model_validate(chosen.recipe), manifest, new_folder(out / "training"),
           None)


def _folder(out: Path | None, kind: str) -> Path:
    from bench.record import new_folder

    return new_folder(out or Path("results") / f"{kind}-{datetime.now():%Y%m%d-%H%M%S}")


def _console() -> Console:
    from rich.console import Console

    # A pipe has no width of its own: a table must not be folded to 80 columns there.
    width = None if sys.stdout.isatty() else int(os.environ.get("COLUMNS", "160"))
    return Console(width=width)


if __name__ == "__main__":
    main()
