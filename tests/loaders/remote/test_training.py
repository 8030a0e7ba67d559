"""A training from object storage that an outage ends, and that is resumed when it is over."""

import csv
import subprocess
import sys
import time

import pytest
from slow_steps import SLOW

from feedbench.trainer.checkpoint import CHECKPOINT, read_checkpoint

pytestmark = [pytest.mark.beyond, pytest.mark.timeout(400)]
# With long steps, and few attempts: it gives up soon.
IMPATIENT = f"import feedbench.loaders.remote.s3 as s3\ns3.ATTEMPTS = 2\n{SLOW}"
CURVE = ("images", "loss", "accuracy", "validation_loss", "validation_accuracy")
RECIPE = 'network = "MobileNet"\nalpha = 0.25\nepochs = 3\nbase_learning_rate = 0.1\n'
OPTIONS = ["--batch-size", "8", "--image-size", "32", "--recipe", "recipe.toml"]


def curve(folder):
    with (folder / "history.csv").open() as file:
        return [[float(line[name]) for name in CURVE] for line in csv.DictReader(file)]


@pytest.fixture
def train(splits_folder, upload, environment, tmp_path):
    """Starts a training on objects that are fetched in each epoch."""
    source = upload(splits_folder)
    (tmp_path / "recipe.toml").write_text(RECIPE)

    def start(*options, program=("-m", "feedbench.bench.cli")):
        return subprocess.Popen(
            [sys.executable, *program, "train", source, "--no-tensorboard", *options],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**environment, "FEEDBENCH_OBJECT_CACHE_GB": "0"},
        )

    return start


def ended(process):
    printed, errors = process.communicate(timeout=300)
    assert "Traceback" not in errors
    return process.returncode, printed, errors


def test_a_training_that_an_outage_ends_resumes_to_the_same_curve(train, proxy, tmp_path):
    assert ended(train(*OPTIONS, "--out", "whole"))[0] == 0
    often = ("--checkpoint-steps", "1", "--out", "stopped")
    stopped = train(*OPTIONS, *often, program=("-c", IMPATIENT))
    checkpoint = tmp_path / "stopped" / CHECKPOINT
    while not (checkpoint.exists() and read_checkpoint(checkpoint)[0].step >= 2):
        assert stopped.poll() is None, stopped.communicate()
        time.sleep(0.02)
    proxy.is_down = True
    code, _, errors = ended(stopped)
    proxy.is_down = False
    assert code != 0
    assert "the server cannot be reached" in errors.splitlines()[-1]
    assert read_checkpoint(checkpoint)[0].step < 17
    code, _, errors = ended(train("--resume", "stopped"))
    assert code == 0, errors
    for epoch, expected in zip(curve(tmp_path / "stopped"), curve(tmp_path / "whole"), strict=True):
        assert epoch == pytest.approx(expected, rel=1e-3)
