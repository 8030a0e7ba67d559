"""Compares the stall that a FitMonitor finds with that of `feedbench bench`, on the same pair.

python tests/micro/monitor_and_bench.py DATA PIPELINE.py:FUNCTION MODEL.py:FUNCTION [ROUNDS]

Both run in processes of their own, alternately. The fit is an ordinary one: the function's data
set, the function's model, `model.fit` with a `FitMonitor`, and nothing else.
"""

import importlib.util
import inspect
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean
from typing import NamedTuple

SIDE, BATCH, STEPS = 96, 32, 200


class Found(NamedTuple):
    """The rate of a pair, its rate on a repeated batch, in images per second, and the stall."""

    rate: float
    ceiling: float
    stall: float

    def __str__(self) -> str:
        return f"{self.stall:.1%} ({self.rate:,.0f} of {self.ceiling:,.0f} images/s)"


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
    import tensorflow as tf

    from feedbench import FitMonitor

    classes = len(list(Path(data, "train").iterdir()))
    batches = called(
        pipeline, data=Path(data), split="train", batch_size=BATCH, image_size=SIDE, seed=0
    )
    if isinstance(batches, tf.data.Dataset):
        batches = batches.repeat()
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
    return Found(rate, ceiling, stall)


def of_bench(folder: Path, data: str, pipeline: str, model: str) -> Found:
    """Return the same of a bench: the stall is 1 − accelerator utilization."""
    options = f"--image-size {SIDE} --batch-size {BATCH} --blocks 5 --block-seconds 4"
    command = ["bench", data, "--loader", pipeline, "--model", model, *options.split()]
    subprocess.run(
        [sys.executable, "-m", "feedbench.bench.cli", *command, "--out", folder], check=True
    )
    trials = json.loads((folder / "summary.json").read_text())["trials"]
    (one,) = [trial for trial in trials if trial["loader"] == pipeline]
    (baseline,) = [trial for trial in trials if trial["loader"] == "synthetic"]
    rate, ceiling = (float(trial["images_per_second"]["median"]) for trial in (one, baseline))
    return Found(rate, ceiling, 1 - float(one["accelerator_utilization"]["median"]))


def main(data: str, pipeline: str, model: str, rounds: str = "3") -> None:
    """Print both stalls of each round, their mean difference, and what it comes from."""
    pairs = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(int(rounds)):
            fitted = of_fit(Path(folder, f"fit-{number}"), data, pipeline, model)
            benched = of_bench(Path(folder, f"bench-{number}"), data, pipeline, model)
            pairs.append((fitted, benched))
            sys.stdout.write(f"FitMonitor {fitted}; bench {benched}\n")
    points = 100 * mean(one.stall - other.stall for one, other in pairs)
    rates = mean(one.rate / other.rate for one, other in pairs)
    ceilings = mean(one.ceiling / other.ceiling for one, other in pairs)
    sys.stdout.write(
        f"mean difference: {points:+.1f} points; FitMonitor ÷ bench: rate {rates:.3f}, "
        f"rate on a repeated batch {ceilings:.3f}\n"
    )


if __name__ == "__main__":
    if sys.argv[1] == "--fit":
        fit(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
