"""Workers that train together, as processes on this machine."""

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from free_ports import free_ports
from slow_steps import SLOW

from feedbench.trainer.checkpoint import CHECKPOINT, read_checkpoint

OPTIONS = ["--batch-size", "8", "--image-size", "32", "--no-tensorboard", "--loader", "turbo"]
RECIPE = 'network = "MobileNet"\nalpha = 0.25\nepochs = 3\nbase_learning_rate = 0.1\n'
CURVE = ("images", "learning_rate", "loss", "accuracy", "validation_loss", "validation_accuracy")
LONG_S = 300
HALTING = """
import ctypes, importlib, pathlib, sys
module, names, *number = sys.argv.pop(1).split(":")
place = importlib.import_module(f"feedbench.{module}")
*owners, name = names.split(".")
for owner in owners:
    place = getattr(place, owner)
calls_left, original = int(*number or [1]), getattr(place, name)

def halting(*arguments, **options):
    global calls_left
    calls_left -= 1
    if calls_left:
        return original(*arguments, **options)
    pathlib.Path("halted").touch()
    mutex = (ctypes.c_char * 64)()  # as in a library: Python handles no signal meanwhile
    ctypes.CDLL(None).pthread_mutex_lock(mutex)
    ctypes.CDLL(None).pthread_mutex_lock(mutex)

setattr(place, name, halting)
from feedbench.bench.cli import main
main()
"""


class Cluster:
    """Starts the workers of a training."""

    def __init__(self, root, photos):
        self.root, self.photos = root, photos
        (root / "small.toml").write_text(RECIPE)
        self.hosts(2)

    def hosts(self, workers, silence_s=20):
        """Write the file of workers."""
        self.addresses = [f"127.0.0.1:{port}" for port in free_ports(workers)]
        text = f"workers = {self.addresses}\nsilence_s = {silence_s}\njoin_s = 100\n"
        (self.root / "hosts.toml").write_text(text)

    def name(self, worker):
        """A worker as the others name it."""
        return f"{'the chief' if worker == 0 else f'worker {worker}'} ({self.addresses[worker]})"

    def start(self, worker, *options, out="run", recipe=True, halting=None, slow=False):
        """Start one worker; None trains alone.

        Args:
            halting: the function in whose first call it stands still, `MODULE:NAME`, or in which
                later one, `MODULE:NAME:NUMBER`.
            slow: whether its steps take long.
        """
        words = ["--recipe", "small.toml", *OPTIONS, "--out", out] if recipe else []
        words += [] if worker is None else ["--cluster", "hosts.toml", "--worker", worker]
        words += options
        program = ["-c", SLOW] if slow else ["-m", "feedbench.bench.cli"]
        program = ["-c", HALTING, halting] if halting else program
        return subprocess.Popen(
            [sys.executable, *program, *map(str, ["train", self.photos, *words])],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=self.root,
            env={**os.environ, "COLUMNS": "300"},
        )

    def wait_until_halted(self, process):
        while not (self.root / "halted").exists():
            assert process.poll() is None, process.communicate()
            time.sleep(0.02)
        (self.root / "halted").unlink()

    def curve(self, out="run"):
        with (self.root / out / "history.csv").open() as file:
            return [[float(line[name]) for name in CURVE] for line in csv.DictReader(file)]

    def step(self, out):
        """The step of the last checkpoint."""
        return read_checkpoint(self.root / out / CHECKPOINT)[0].step


def finished(process, code=0):
    output = process.communicate(timeout=LONG_S)
    assert process.returncode == code, output
    return output


def error_line(output):
    """The one line that says why a command ended."""
    lines = [line for line in output[1].splitlines() if not line.startswith(("Note: ", "Epoch "))]
    assert len(lines) == 1, output
    assert lines[0].startswith("feedbench: ")
    return lines[0]


def wait_for(process, cluster, step, out):
    """Wait until a checkpoint of at least this step is written."""
    while process.poll() is None:
        if (cluster.root / out / CHECKPOINT).exists() and cluster.step(out) >= step:
            return
        time.sleep(0.02)
    raise AssertionError(process.communicate())
