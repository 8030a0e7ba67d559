"""Commands that are fed by one remote service, one after the other, and a worker that is killed."""

import csv
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from slow_steps import SLOW

from feedbench.trainer.checkpoint import CHECKPOINT, read_checkpoint

pytestmark = [pytest.mark.beyond, pytest.mark.timeout(600)]
LOADER = "tf_data_service"
RECIPE = 'network = "MobileNet"\nalpha = 0.25\nepochs = 2\nbase_learning_rate = 0.1\n'
SIZES = ["--batch-size", "8", "--image-size", "32", "--no-tensorboard"]
SHORT = ["--blocks", "3", "--block-seconds", "0.3", "--warm-up-seconds", "0.1"]
CURVE = ("images", "loss", "accuracy", "validation_loss", "validation_accuracy")
CLI = ["-m", "feedbench.bench.cli"]


@pytest.fixture
def command(splits_folder, tmp_path):
    """Starts a command on the photographs, in a folder of its own."""
    (tmp_path / "recipe.toml").write_text(RECIPE)

    def start(name, *options, program=CLI, sizes=SIZES):
        words = [sys.executable, *program, name, splits_folder, *sizes, *options]
        return subprocess.Popen(
            list(map(str, words)),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=tmp_path,
            env={**os.environ, "COLUMNS": "300"},
        )

    return start


def served(address):
    return ["--loader", LOADER, "--set", f"{LOADER}.service={address}"]


def training(out, loader, *options):
    return ["train", *loader, "--recipe", "recipe.toml", "--out", out, *options]


def finished(process):
    printed, errors = process.communicate(timeout=300)
    assert process.returncode == 0, printed + errors
    return printed


def record(folder):
    return json.loads((folder / "training.json").read_text("utf-8"))


def curve(folder):
    with (folder / "history.csv").open() as file:
        return [[float(line[name]) for name in CURVE] for line in csv.DictReader(file)]


def test_a_bench_and_then_two_trainings_are_fed_by_the_same_service(service, command, tmp_path):
    bench = (*served(service), *SHORT, "--recipe", "recipe.toml", "--out", "bench")
    finished(command("bench", *bench))
    trials = json.loads((tmp_path / "bench" / "summary.json").read_text("utf-8"))["trials"]
    assert next(one for one in trials if one["loader"] == LOADER)["received_bytes_per_image"] > 0
    for out in ("first", "second"):
        printed = finished(command(*training(out, served(service))))
        assert "kB received" in printed
    finished(command(*training("local", ["--loader", "tf_data"])))
    for out in ("first", "second"):
        assert record(tmp_path / out)["network"]["received_bytes"] > 0
        assert record(tmp_path / out)["losses"]["ended_workers"] == []
        for epoch, expected in zip(curve(tmp_path / out), curve(tmp_path / "local"), strict=True):
            assert epoch == pytest.approx(expected, rel=1e-3)


def test_a_training_goes_on_without_a_killed_worker_and_resumes_with_the_other(
    servers, command, tmp_path
):
    dispatcher = servers.start("dispatcher", "--dispatcher", "127.0.0.1:0")
    for name in ("one", "two"):
        servers.start(name, "--worker", "127.0.0.1:0", "--of", dispatcher)
    finished(command(*training("whole", served(dispatcher))))
    often = ("--checkpoint-steps", 1)
    slow = command(*training("killed", served(dispatcher), *often), program=["-c", SLOW])
    checkpoint = tmp_path / "killed" / CHECKPOINT
    wait_for_step(slow, checkpoint, 2)
    servers.end("one", signal.SIGKILL)
    wait_for_step(slow, checkpoint, 5)
    slow.terminate()
    assert "Stopped; a checkpoint is saved" in finished(slow)
    finished(command("train", "--resume", "killed", sizes=["--no-tensorboard"]))
    for epoch, expected in zip(curve(tmp_path / "killed"), curve(tmp_path / "whole"), strict=True):
        assert epoch == pytest.approx(expected, rel=1e-3)


def wait_for_step(process, checkpoint, step):
    """Wait until a training has written a checkpoint of at least this step."""
    while not (checkpoint.exists() and read_checkpoint(checkpoint)[0].step >= step):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
