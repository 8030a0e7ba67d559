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

SIDE, BATCH, STEPS = 96, 32, 200


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


def stall_of_fit(folder: Path, *pair: str) -> float:
    """Return the stall that the monitor found, in a process of its own."""
    subprocess.run([sys.executable, __file__, "--fit", *pair, folder], check=True)
    shown = folder / "shown.json"
    command = [sys.executable, "-m", "feedbench.bench.cli", "show", folder, "--json", shown]
    subprocess.run(command, check=True)
    return float(json.loads(shown.read_text())["figures"]["stall"]["median"])


def stall_of_bench(folder: Path, data: str, pipeline: str, model: str) -> float:
    """Return 1 − accelerator utilization of the pipeline in a bench."""
    options = f"--image-size {SIDE} --batch-size {BATCH} --blocks 5 --block-seconds 4"
    command = ["bench", data, "--loader", pipeline, "--model", model, *options.split()]
    subprocess.run(
        [sys.executable, "-m", "feedbench.bench.cli", *command, "--out", folder], check=True
    )
    trials = json.loads((folder / "summary.json").read_text())["trials"]
    (one,) = [trial for trial in trials if trial["loader"] == pipeline]
    return 1 - float(one["accelerator_utilization"]["median"])


def main(data: str, pipeline: str, model: str, rounds: str = "3") -> None:
    """Print both stalls of each round and their mean difference in points."""
    differences = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(int(rounds)):
            found = stall_of_fit(Path(folder, f"fit-{number}"), data, pipeline, model)
            expected = stall_of_bench(Path(folder, f"bench-{number}"), data, pipeline, model)
            differences.append(found - expected)
            sys.stdout.write(f"FitMonitor {found:.1%}, bench {expected:.1%}\n")
    mean = sum(differences) / len(differences)
    sys.stdout.write(f"mean difference: {100 * mean:+.1f} points\n")


if __name__ == "__main__":
    if sys.argv[1] == "--fit":
        fit(*sys.argv[2:])
    else:
        main(*sys.argv[1:])
