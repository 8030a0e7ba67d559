"""quickstart: chooses a loader on generated photos, and trains with it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from feedbench.bench.commands.generate_photos import generate_photos
from feedbench.bench.commands.options import Out
from feedbench.bench.commands.output import console, result_folder
from feedbench.bench.commands.run_bench import (
    MeasuredBench,
    measure_plan,
    require_best,
    show_summary,
)
from feedbench.bench.commands.run_training import print_outcome, train_with_progress

if TYPE_CHECKING:
    from feedbench.bench.plan.plan import Suite
    from feedbench.loaders import Manifest

# Enough to learn the classes in half a minute on two cores, in epochs of some seconds: writing a
# checkpoint takes a tenth of one, which would show in the rate of shorter ones.
IMAGES, CLASSES = 2000, 4
_RECIPE = {"network": "MobileNet", "alpha": 0.25, "epochs": 5, "base_learning_rate": 0.6}
# No flip: the direction of the stripes tells the generated classes apart.
_SPEC = {"batch_size": 32, "image_size": 64}
# All blocks, since the training has to reach the rate that they predict.
_TIMING = {"blocks": 12, "early_stopping": False, "block_seconds": 0.5, "warm_up_seconds": 0}

# So that a training step takes a fraction of a second on a few cores.
WITHOUT_GPU = " --alpha 0.35 --image-size 96 --batch-size 64"


def quickstart(out: Out = None) -> None:
    """Takes about two minutes on two CPU cores, and 40 MB of disk space."""
    from feedbench.bench.files import new_folder
    from feedbench.loaders import scan

    folder = result_folder(out, "quickstart")
    _announce("About two minutes on two CPU cores.", folder)
    _announce("1. Generate photos.")
    generate_photos(folder / "photos", images=IMAGES, preset="small", classes=CLASSES)
    manifest = scan(folder / "photos")
    _announce("2. Time the loaders in turn, block by block, each feeding a small network.")
    bench = _bench(manifest.only("train"), new_folder(folder / "bench"))
    best = require_best(bench, folder)
    _announce("3. Train the network with the best loader.")
    result = _train(best, manifest, new_folder(folder / "training"))
    if result is not None:
        _print_results(bench, result, folder)


def _print_results(bench: MeasuredBench, result: dict[str, Any], folder: Path) -> None:
    """Print the table and the verdict of the bench, what the training gave, and what is next."""
    from feedbench.bench.meters.gpu import find_gpus

    terminal = console()
    show_summary(terminal, bench.trials, bench.summary)
    print_outcome(terminal, result)
    options = WITHOUT_GPU if not find_gpus() else ""
    terminal.print(_next_commands(folder, options), soft_wrap=True)


def _next_commands(folder: Path, options: str) -> str:
    return f"""
Next, with these results and with your own photos:
{_activation()}  feedbench report {shlex.quote(str(folder))}  # report.html: one page with charts
  feedbench scan photos/  # counts images, and finds unreadable ones
  feedbench bench photos/{options}  # which loader feeds your training fastest
  feedbench diagnose photos/{options}  # what limits a loader, and what would change it"""


def _activation() -> str:
    """Return the line that lets a shell find `feedbench`; empty if it does."""
    script = Path(sys.prefix) / "bin" / "activate"
    if shutil.which("feedbench") or not script.is_file():
        return ""
    near = os.path.relpath(script)
    shown = str(script) if near.startswith("..") else near
    return f"  source {shlex.quote(shown)}  # so that the shell finds feedbench\n"


def _announce(text: str, folder: Path | None = None) -> None:
    results = f" Results: {folder}" if folder else ""
    console(to_errors=True).print(f"{text}{results}", style="bold", soft_wrap=True)


def _bench(manifest: Manifest, folder: Path) -> MeasuredBench:
    from feedbench.bench.plan.plan import make_plan

    plan = make_plan(_suite(manifest))
    plan = replace(plan, rows=manifest.fingerprint(sizes=True))
    return measure_plan(plan, manifest, folder)


def _suite(manifest: Manifest) -> Suite:
    """Return a suite of one trial per loader: its last of the suite `quick`."""
    from feedbench.bench.plan.plan import Suite
    from feedbench.bench.plan.suites import built_in_trials

    trials = {choice.loader: choice for choice in built_in_trials("quick", manifest)}
    return Suite.model_validate(
        {"timing": _TIMING, "recipe": _RECIPE, "spec": _SPEC, "trial": list(trials.values())}
    )


def _train(file: Path, manifest: Manifest, folder: Path) -> dict[str, Any] | None:
    """Train with the winner of the bench; returns the contents of training.json, if it ended."""
    from feedbench.bench.analysis.best import read_best
    from feedbench.bench.commands.run_training import resume_command
    from feedbench.bench.training.options import TrainingOptions
    from feedbench.trainer import Recipe

    best, again = read_best(file), resume_command(str(folder.parent / "photos"), folder, {})
    recipe = Recipe.model_validate(best.recipe)
    options = TrainingOptions(tensorboard=False, rows=best.rows)
    return train_with_progress(best, recipe, manifest, folder, options, again)
