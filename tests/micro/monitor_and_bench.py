"""Compares the stall that a FitMonitor finds with that of `feedbench bench`, on the same pair.

python tests/micro/monitor_and_bench.py DATA PIPELINE.py:FUNCTION MODEL.py:FUNCTION [ROUNDS]

Both run in processes of their own, alternately. The fit is an ordinary one: the function's data
set, the function's model, `model.fit` with a `FitMonitor`, and nothing else. Both take the data set
repeated: `bench` counts the turn of an epoch, in which a pipeline starts again, and a FitMonitor
does not.
"""

import importlib.util
import inspect
import json
import subprocess
import sys
import tempfile
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import NamedTuple

from scipy.stats import t

from feedbench.bench.trials_file import read_trials

SIDE, BATCH, STEPS = 96, 32, 200
REPEATED = """
import inspect
import sys

import tensorflow as tf

sys.path.insert(1, {folder!r})
from {module} import {function} as once


def make_dataset(data, split, batch_size, image_size, seed):
    known = dict(data=data, split=split, batch_size=batch_size, image_size=image_size, seed=seed)
    names = inspect.signature(once).parameters
    batches = once(**{{name: value for name, value in known.items() if name in names}})
    return batches.repeat() if isinstance(batches, tf.data.Dataset) else batches
"""


class Found(NamedTuple):
    """The rate of a pair, its rate on a repeated batch, in images per second, and the stall.

    Attributes:
        cpu, ceiling_cpu: CPU seconds per 1,000 images, of the pair and on the repeated batch.
    """

    rate: float
    ceiling: float
    stall: float
    cpu: float
    ceiling_cpu: float

    def __str__(self) -> str:
        return f"{self.stall:.1%} ({self.rate:,.0f} of {self.ceiling:,.0f} images/s)"


def repeated(place: str, folder: Path) -> str:
    """Write a function that gives the same data set again and again; return its name."""
    file, _, function = place.partition(":")
    path = Path(file).resolve()
    text = REPEATED.format(folder=str(path.parent), module=path.stem, function=function)
    (folder / "repeated.py").write_text(text)
    return f"{folder / 'repeated.py'}:make_dataset"


def called(place: str, **known: object) -> object:
    """Call the function of a file with those of these arguments that it names."""
    file, _, name = place.partition(":")
    sys.path.insert(0, str(Path(file).parent.resolve()))
    spec = importlib.util.spec_from_file_location(Path(file).stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    function = getattr(module, name)
    return function(**{k: known[k] for k in inspect.signature(function).parameters if k in known})


def fit(data: str, pipeline: str, model: str, out: str) -> None:
    """Train as a user does."""
    from feedbench import FitMonitor

    classes = len(list(Path(data, "train").iterdir()))
    with tempfile.TemporaryDirectory() as folder:
        batches = called(
            repeated(pipeline, Path(folder)),
            data=data, split="train", batch_size=BATCH, image_size=SIDE, seed=0,
        )  # fmt: skip
    network = called(model, image_size=SIDE, classes=classes)
    monitor = FitMonitor(steps=STEPS, ceiling=True, out=out)
    network.fit(batches, steps_per_epoch=STEPS + 25, verbose=2, callbacks=[monitor])


def of_fit(folder: Path, *pair: str) -> Found:
    """Return what the monitor found, in a process of its own."""
    subprocess.run([sys.executable, __file__, "--fit", *pair, folder], check=True)
    shown = folder / "shown.json"
    command = [sys.executable, "-m", "feedbench.bench.cli", "show", folder, "--json", shown]
    subprocess.run(command, check=True)
    figures = json.loads(shown.read_text())["figures"]
    rate, ceiling, stall = (
        float(figures[name]["median"]) for name in ("images_per_second", "ceiling", "stall")
    )
    return Found(rate, ceiling, stall, *cpu_of(folder))


def of_bench(folder: Path, data: str, pipeline: str, model: str) -> Found:
    """Return the same of a bench: the stall is 1 − accelerator utilization."""
    options = f"--image-size {SIDE} --batch-size {BATCH} --blocks 5 --block-seconds 4 --seed 0"
    with tempfile.TemporaryDirectory() as beside:
        loader = repeated(pipeline, Path(beside))
        command = ["bench", data, "--loader", loader, "--model", model, *options.split()]
        subprocess.run(
            [sys.executable, "-m", "feedbench.bench.cli", *command, "--out", folder], check=True
        )
    trials = json.loads((folder / "summary.json").read_text())["trials"]
    (one,) = [trial for trial in trials if trial["loader"] == loader]
    (baseline,) = [trial for trial in trials if trial["loader"] == "synthetic"]
    rate, ceiling = (float(trial["images_per_second"]["median"]) for trial in (one, baseline))
    stall = 1 - float(one["accelerator_utilization"]["median"])
    return Found(rate, ceiling, stall, *cpu_of(folder))


def cpu_of(folder: Path) -> tuple[float, float]:
    """Return the CPU seconds per 1,000 images of the pair, and those on the repeated batch."""
    found = {}
    for trial in read_trials(folder):
        seconds = sum(block.cpu_s for block in trial.blocks)
        found[trial.loader == "synthetic"] = (
            1000 * seconds / sum(block.images for block in trial.blocks)
        )
    return found[False], found[True]


def main(data: str, pipeline: str, model: str, rounds: str = "6") -> None:
    """Print both stalls of each round, their mean difference, and what it comes from."""
    pairs = []
    pair = (str(Path(data).resolve()), pipeline, model)
    with tempfile.TemporaryDirectory() as folder:
        for number in range(int(rounds)):
            runs = [(of_fit, f"fit-{number}"), (of_bench, f"bench-{number}")]
            if number % 2:
                runs.reverse()
            found = {run: run(Path(folder, name), *pair) for run, name in runs}
            pairs.append((found[of_fit], found[of_bench]))
            sys.stdout.write(f"FitMonitor {pairs[-1][0]}; bench {pairs[-1][1]}\n")
    differences = [100 * (one.stall - other.stall) for one, other in pairs]
    sys.stdout.write(f"mean difference: {interval(differences)} points\nFitMonitor ÷ bench:")
    for name in ("rate", "ceiling", "cpu", "ceiling_cpu"):
        ratio = mean(getattr(one, name) / getattr(other, name) for one, other in pairs)
        sys.stdout.write(f" {name} {ratio:.3f}")
    sys.stdout.write("\n")


def interval(values: list[float]) -> str:
    """The mean with its 95 % interval, if there are several values."""
    if len(values) < 2:
        return f"{values[0]:+.1f}"
    reach = t.ppf(0.975, len(values) - 1) * stdev(values) / sqrt(len(values))
    middle = mean(values)
    return f"{middle:+.1f} [{middle - reach:+.1f}, {middle + reach:+.1f}]"


if __name__ == "__main__":
    if sys.argv[1] == "--fit":
        fit(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
