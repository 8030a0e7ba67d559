"""Trainings that are stopped, killed or diverge: what they leave, and that they resume exactly."""

import csv
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import numpy as np
import pytest
from short_network import NAME, OFFER
from slow_steps import SLOW

from feedbench.bench.cli import main
from feedbench.bench.commands.run_training import _notes
from feedbench.bench.consumers.trainer import class_weights
from feedbench.bench.errors import PlanError, RecordError
from feedbench.bench.training.folder import check_disk_space, claimed
from feedbench.loaders import BatchSpec
from feedbench.trainer import Recipe
from feedbench.trainer.checkpoint import CHECKPOINT, read_checkpoint

CHANGES = ["--augment", "rotation=10", "--augment", "jpeg_quality=50,90", "--balance", "0.5"]
OPTIONS = ["--batch-size", "8", "--image-size", "32", "--no-tensorboard", *CHANGES]
EPOCHS, STEPS = 6, 36
RECIPE = f"""
network = "{NAME}"
alpha = 0.25
epochs = 6
base_learning_rate = 0.1
weight_decay = 0.0001
class_weights = "balanced"
"""
pytestmark = pytest.mark.usefixtures("short_network")
CURVE = ("images", "learning_rate", "loss", "accuracy", "validation_loss", "validation_accuracy")


def start(*arguments, **environment) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-c", OFFER + SLOW, "train", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "300", **environment},
    )


def finished(running: subprocess.Popen, code: int = 0) -> tuple[str, str]:
    output = running.communicate()
    assert running.returncode == code, output
    return output


def wait_for(running: subprocess.Popen, checkpoint, step: int) -> None:
    """Wait until the checkpoint is of this step or a later one."""
    while running.poll() is None:
        if checkpoint.exists() and read_checkpoint(checkpoint)[0].step >= step:
            return
        time.sleep(0.05)  # steps take six times as long, and each look reads the file
    raise AssertionError(running.communicate())


def curve(folder) -> list[list[float]]:
    with (folder / "history.csv").open() as file:
        return [[float(line[name]) for name in CURVE] for line in csv.DictReader(file)]


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    path = tmp_path_factory.mktemp("recipe") / "small.toml"
    path.write_text(RECIPE)
    return path


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, tiny_photos, recipe, short_network):
    """The folder of a training that is not interrupted."""
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    with pytest.MonkeyPatch.context() as patch:
        assert call(patch, "train", tiny_photos, "--recipe", recipe, *OPTIONS, "--out", out) == 0
    return out


@pytest.fixture(scope="module")
def survivor(tmp_path_factory, tiny_photos, recipe, short_network):
    """The same training, stopped by SIGTERM, resumed, killed and resumed again."""
    out = tmp_path_factory.mktemp("survivor") / "run"
    often = ["--checkpoint-steps", 1]
    running = start(tiny_photos, "--recipe", recipe, *OPTIONS, *often, "--out", out)
    wait_for(running, out / CHECKPOINT, 2)
    running.terminate()
    output, errors = finished(running)
    after_stop = read_checkpoint(out / CHECKPOINT)[0]
    running = start(tiny_photos, "--resume", out, *often)
    wait_for(running, out / CHECKPOINT, after_stop.step + 2)
    running.send_signal(signal.SIGKILL)
    finished(running, -signal.SIGKILL)
    after_kill = read_checkpoint(out / CHECKPOINT)[0]
    unfinished = not (out / "training.json").exists()
    with pytest.MonkeyPatch.context() as patch:
        assert call(patch, "train", tiny_photos, "--resume", out) == 0
    return SimpleNamespace(**locals())


def test_sigterm_saves_a_checkpoint_and_exits_with_zero(survivor):
    resume = f"To resume: feedbench train {survivor.tiny_photos} --resume {survivor.out}"
    assert resume in survivor.output
    assert "Traceback" not in survivor.errors
    assert 2 <= survivor.after_stop.step < STEPS
    assert len(survivor.after_stop.history) == survivor.after_stop.epoch - 1


def test_a_training_killed_within_an_epoch_resumes_to_the_same_curve(survivor, undisturbed):
    assert survivor.unfinished
    assert survivor.after_stop.step < survivor.after_kill.step < STEPS
    for epoch, expected in zip(curve(survivor.out), curve(undisturbed), strict=True):
        assert epoch == pytest.approx(expected, rel=1e-4)
    assert json.loads((survivor.out / "training.json").read_text())["recipe"]["epochs"] == EPOCHS


def call(monkeypatch, *arguments) -> int:
    monkeypatch.setattr(sys, "argv", ["feedbench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


def test_a_loss_that_is_not_finite_is_reported_with_its_images(
    monkeypatch, capsys, tmp_path, tiny_photos
):
    out, recipe = tmp_path / "run", tmp_path / "wild.toml"
    recipe.write_text(RECIPE.replace("0.1\n", "1e30\n") + "warm_up_epochs = 0\n")
    arguments = ["--recipe", recipe, *OPTIONS, "--out", out]
    assert call(monkeypatch, "train", tiny_photos, *arguments) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "step 1, learning rate 3.1" in error
    assert str(tiny_photos / "train") in error
    diverged = json.loads((out / "diverged.json").read_text())
    assert len(diverged["images"]) == 8
    assert diverged["epoch"] == 1
    assert f"7 other images, listed in {out / 'diverged.json'}" in error


def test_only_an_unchanged_unfinished_training_resumes(
    monkeypatch, capsys, tmp_path, tiny_photos, undisturbed
):
    def refused(*arguments) -> str:
        assert call(monkeypatch, "train", tiny_photos, *arguments) == 2
        error = capsys.readouterr().err
        assert error.count("\n") == 1
        return error

    assert "is finished" in refused("--resume", undisturbed)
    assert "no recipe.toml" in refused("--resume", tmp_path)
    assert "leave out --epochs" in refused("--resume", undisturbed, "--epochs", 3)
    begun = tmp_path / "begun"
    begun.mkdir()
    for name in ("recipe.toml", "loader.toml", CHECKPOINT):
        (begun / name).write_bytes((undisturbed / name).read_bytes())
    whole = (begun / "recipe.toml").read_text()
    (begun / "recipe.toml").write_text(whole.replace("epochs = 6", "epochs = 5"))
    assert "recipe.toml differs from what this training was started with" in refused(
        "--resume", begun
    )
    (begun / "recipe.toml").write_text(whole[: whole.index(" =", len(whole) // 2)])
    assert refused("--resume", begun).startswith(f"feedbench: {begun / 'recipe.toml'}: not TOML: ")
    assert (begun / CHECKPOINT).exists()


def test_a_full_disk_is_reported_before_training(tmp_path):
    with pytest.raises(RecordError, match="free some space or name another folder"):
        check_disk_space(tmp_path, 10**18)
    check_disk_space(tmp_path, 1)


def test_a_single_image_cannot_be_trained_on(monkeypatch, capsys, tmp_path, tiny_photos):
    photo = tmp_path / "photos" / "ant" / "0.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes((tiny_photos / "train" / "circle" / "0.jpg").read_bytes())
    arguments = ["--batch-size", 1, "--image-size", 32, "--out", tmp_path / "run"]
    assert call(monkeypatch, "train", tmp_path / "photos", *arguments) == 2
    error = capsys.readouterr().err
    assert "no images in the validation split" in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_folder_that_is_not_writable_is_reported_before_training(
    monkeypatch, capsys, tmp_path, tiny_photos
):
    file = tmp_path / "file"
    file.touch()
    assert call(monkeypatch, "train", tiny_photos, "--out", file / "run") == 2
    assert "name another folder" in capsys.readouterr().err


def test_a_finished_training_leaves_all_its_files(undisturbed, tiny_photos):
    names = {path.name for path in undisturbed.iterdir()}
    assert names == {
        "MODEL_CARD.md",
        "best.keras",
        "checkpoint.npz",
        "classes.json",
        "confusion.png",
        "files.npy",
        "history.csv",
        "learning-curves.png",
        "loader.toml",
        "manifest.parquet",
        "model.keras",
        "predictions.csv",
        "recipe.toml",
        "train.log",
        "training.json",
    }
    card = (undisturbed / "MODEL_CARD.md").read_text()
    assert "| weight_decay | **0.0001** |" in card
    assert "| circle | 24 | 4 | 4 |" in card
    lines = (undisturbed / "predictions.csv").read_text().splitlines()
    assert lines[0] == "path,label,predicted,probability"
    assert len(lines) == 9
    assert lines[1].startswith("test/circle/0.jpg,circle,")
    result = json.loads((undisturbed / "training.json").read_text())
    right = sum(line.split(",")[1] == line.split(",")[2] for line in lines[1:])
    assert result["test"]["accuracy"] == pytest.approx(right / 8)
    assert [line["images"] for line in result["per_class"]] == [4, 4]
    for name in ("confusion.png", "learning-curves.png"):
        assert (undisturbed / name).read_bytes().startswith(b"\x89PNG")


def test_class_weights_are_higher_for_rare_classes_and_one_on_average():
    counts = np.array([8, 24])
    weights = class_weights(Recipe(class_weights="balanced"), counts)
    assert weights == pytest.approx([32 / 16, 32 / 48])
    assert np.average(weights, weights=counts) == pytest.approx(1)
    assert class_weights(Recipe(), counts) is None


def test_the_gap_between_epochs_is_a_fraction_of_the_first_epoch(undisturbed):
    with (undisturbed / "history.csv").open() as file:
        epochs = list(csv.DictReader(file))
    gaps = [float(line["gap_s"]) for line in epochs]
    assert gaps[0] == 0
    # A new iterator or a new graph would take as long as in the first epoch; this takes 50 ms.
    assert 0 < min(gaps[1:]) < float(epochs[0]["train_s"]) / 2


def test_a_refused_training_leaves_no_folder(monkeypatch, capsys, tmp_path, tiny_photos):
    out, recipe = tmp_path / "run", tmp_path / "large.toml"
    recipe.write_text('network = "Xception"\n')
    arguments = [tiny_photos, "--recipe", recipe, *OPTIONS, "--out", out]
    for _ in range(2):
        assert call(monkeypatch, "train", *arguments) == 2
        assert "at least 71 px" in capsys.readouterr().err
        assert not out.exists()


def test_two_trainings_cannot_write_to_one_folder(monkeypatch, capsys, tmp_path, tiny_photos):
    out = tmp_path / "run"
    out.mkdir()
    with claimed(out):
        assert call(monkeypatch, "train", tiny_photos, *OPTIONS, "--out", out) == 2
    assert "another training writes to it" in capsys.readouterr().err
    assert out.exists()


def test_tensorflow_that_cannot_be_loaded_is_one_line(tmp_path, tiny_photos):
    """With less address space than its libraries need."""
    out = tmp_path / "run"
    done = subprocess.run(
        ["prlimit", "--as=1572864000", sys.executable, "-m", "feedbench.bench.cli", "train",
         tiny_photos, *OPTIONS, "--out", out],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("feedbench: TensorFlow cannot be loaded: ")
    assert done.stderr.count("\n") == 1
    assert not out.exists()


def test_processes_of_a_loader_are_forked_before_the_trainer_is_built(
    monkeypatch, capsys, tmp_path, tiny_photos
):
    """TensorFlow's threads do not survive a fork."""
    forked = []
    others = {process.pid for process in multiprocessing.active_children()}

    def refuse(*_, **__):
        running = {process.pid for process in multiprocessing.active_children()}
        forked.append(len(running - others))
        raise PlanError("enough")

    monkeypatch.setattr("feedbench.bench.training.train.make_trainer", refuse)
    processes = ["keras_pil.workers=2", "keras_pil.use_multiprocessing=true"]
    settings = [word for value in processes for word in ("--set", value)]
    arguments = ["--loader", "keras_pil", *settings, *OPTIONS, "--out", tmp_path / "run"]
    assert call(monkeypatch, "train", tiny_photos, *arguments) == 2
    assert forked == [2]


def test_a_single_class_is_pointed_out():
    arguments = Recipe(epochs=1000), BatchSpec(batch_size=8)
    (note,) = _notes(*arguments, ["ant"], [800], resume=False)
    assert "there is one class only, ant" in note
    assert not _notes(*arguments, ["ant", "bee"], [400, 400], resume=False)
