"""Studies: grid, order of the runs, verdicts, and resuming after Ctrl-C and kill."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest
from preloaded import children_of

from feedbench.bench.commands.options import TRAINING_SPEC
from feedbench.bench.errors import PlanError, RecordError
from feedbench.bench.plan.plan import Failures
from feedbench.bench.study.messages import Starting
from feedbench.bench.study.report import mean_difference
from feedbench.bench.study.run import failure_reason, run_study, write_study
from feedbench.bench.study.study import make_runs, read_study, with_loader_resolved
from feedbench.bench.trials.protocol import Failed, Service
from feedbench.loaders import parse_spec, scan

FILE = """
data = "{data}"
seeds = {seeds}
[spec]
image_size = 32
batch_size = 8
[recipe]
network = "MobileNet"
alpha = 0.25
epochs = 2
[grid]
{grid}
"""
RANGES = '"spec.value_range" = [[0, 1], [-1, 1]]'
NETWORK = 'network = "MobileNet"\nalpha = 0.25\n'
# Built and traced in a second.
MODEL = """
import keras
from keras import layers

def build(classes):
    images = keras.Input((32, 32, 3))
    x = layers.BatchNormalization()(layers.Conv2D(4, 3, strides=2)(images))
    return keras.Model(images, layers.Dense(classes)(layers.GlobalAveragePooling2D()(x)))
"""


def write_file(folder, grid=RANGES, data="photos", seeds=3):
    path = folder / "study.toml"
    path.write_text(FILE.format(grid=grid, data=data, seeds=seeds))
    return path


def test_runs_go_seed_by_seed_with_shuffled_cells(tmp_path):
    grid = RANGES + '\n"recipe.optimizer" = ["sgd", "adam"]\n"spec.augment.rotation" = [0, 20]'
    runs = make_runs(read_study(write_file(tmp_path, grid)), TRAINING_SPEC)
    assert [run.seed for run in runs] == [0] * 8 + [1] * 8 + [2] * 8
    assert len({run.name for run in runs}) == 24
    orders = [[run.cell for run in runs[begin : begin + 8]] for begin in (0, 8, 16)]
    assert orders[0] != orders[1] != orders[2]
    for run in runs:
        assert run.best.spec["value_range"] == json.loads(run.cell["spec.value_range"])
        assert run.best.spec["augment"]["horizontal_flip"]
        assert run.best.spec["augment"]["rotation"] == int(run.cell["spec.augment.rotation"])
        assert run.recipe.optimizer in run.cell["recipe.optimizer"]
        assert run.recipe.base_learning_rate == (0.4 if run.recipe.optimizer == "sgd" else 0.001)
        assert (run.recipe.seed, run.best.spec["seed"], run.best.spec["batch_size"]) == (
            run.seed,
            run.seed,
            8,
        )


def test_the_loader_of_a_study_can_be_a_result_folder(tmp_path):
    best = 'loader = "turbo"\nsettings = {prefetch = 3}\nrecipe = {epochs = 9, momentum = 0.8}'
    (tmp_path / "best.toml").write_text(best)
    path = write_file(tmp_path)
    path.write_text(f'loader = "{tmp_path}"\n{path.read_text()}')
    run = make_runs(read_study(path), TRAINING_SPEC)[0]
    assert (run.best.loader, run.best.settings) == ("turbo", {"prefetch": 3})
    assert (run.recipe.epochs, run.recipe.momentum) == (2, 0.8)


def test_a_study_that_was_started_does_not_read_its_best_toml_again(tmp_path, tiny_photos):
    best = 'loader = "turbo"\nsettings = {prefetch = 3}\n[spec]\nresize = "crop"\n'
    (tmp_path / "best.toml").write_text(best + "[spec.augment]\nrotation = 5.0\n")
    path = write_file(tmp_path)
    path.write_text(f'loader = "{tmp_path}"\nfailures = {{on_error = "skip"}}\n{path.read_text()}')
    given = read_study(path)
    runs = make_runs(given, TRAINING_SPEC)
    write_study(tmp_path, with_loader_resolved(given, TRAINING_SPEC), scan(tiny_photos))
    (tmp_path / "best.toml").write_text('loader = "tf_data"')
    resumed = read_study(tmp_path / "study.toml")
    assert resumed.failures.on_error == "skip"
    again = make_runs(resumed, TRAINING_SPEC)
    assert [run.best.loader for run in again] == ["turbo"] * 6
    for one, other in zip(runs, again, strict=True):
        assert (one.name, one.recipe, one.best.settings) == (
            other.name,
            other.recipe,
            other.best.settings,
        )
        assert parse_spec(one.best.spec) == parse_spec(other.best.spec)


def test_synthetic_images_cannot_be_studied(tmp_path):
    path = write_file(tmp_path)
    path.write_text(f'loader = "synthetic"\n{path.read_text()}')
    with pytest.raises(PlanError, match="choose one that reads files"):
        with_loader_resolved(read_study(path), TRAINING_SPEC)


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ('"value_range" = [[0, 1], [-1, 1]]', "must start with spec., recipe. or settings."),
        ('"recipe.seed" = [0, 1]', "set the number of seeds"),
        ('"recipe.epochs" = [1]', "at least two different values"),
        ('"recipe.epochs" = [1, 1]', "at least two different values"),
        ('"recipe.epochs" = [1, 0]', "recipe: epochs"),
        ("", "grid"),
    ],
)
def test_an_invalid_grid_is_refused(tmp_path, grid, message):
    with pytest.raises(PlanError, match=message):
        make_runs(read_study(write_file(tmp_path, grid)), TRAINING_SPEC)


def correct(random, accuracy, images=400):
    return {f"{number}.jpg": bool(random.random() < accuracy) for number in range(images)}


def test_a_difference_is_real_only_if_it_exceeds_the_spread_of_seeds_and_images():
    random = np.random.default_rng(0)
    far = [(correct(random, 0.9), correct(random, 0.6)) for _ in range(4)]
    large = mean_difference(far, 0.95)
    assert large.real
    assert large.low < 0.3 < large.high
    assert large.p_value < 0.01
    same = [(correct(random, 0.7), correct(random, 0.7)) for _ in range(4)]
    assert not mean_difference(same, 0.95).real
    # Seeds disagree, although many images are tested.
    swings = [(correct(random, 0.5 + 0.2 * seed), correct(random, 0.6)) for seed in range(3)]
    assert not mean_difference(swings, 0.95).real
    assert not mean_difference(far[:1], 0.95).real
    wide = mean_difference(far, 0.99)
    assert wide.high - wide.low > large.high - large.low


def test_intervals_have_their_stated_coverage():
    """Of 200 studies without a difference, about 5 % may report one."""
    random = np.random.default_rng(1)
    false = 0
    for _ in range(200):
        accuracies = 0.7 + 0.02 * random.standard_normal((3, 2))
        pairs = [
            (correct(random, first, 100), correct(random, second, 100))
            for first, second in accuracies
        ]
        false += mean_difference(pairs, 0.95).real
    assert false <= 18


def test_a_training_whose_process_dies_is_recorded_with_its_exit_code(
    tmp_path, tiny_photos, monkeypatch
):
    monkeypatch.setattr("feedbench.bench.study.run.STUDY_WORKER", Service("no_such_module", ()))
    study = read_study(write_file(tmp_path, data=tiny_photos, seeds=1))
    write_study(tmp_path, study, scan(tiny_photos))
    first, second = make_runs(study, TRAINING_SPEC)
    events = []
    run_study(tmp_path, [first], Failures(), lambda run, event: events.append(event))
    log = tmp_path / "runs" / first.name / "train.log"
    reason = f"ended with exit code 1 in the training; see {log}"
    assert events == [Starting(resumed=False), Failed(reason=reason)]
    assert (failure_reason(tmp_path, first), failure_reason(tmp_path, second)) == (reason, None)
    assert "No module named no_such_module" in log.read_text()
    (tmp_path / "runs" / first.name / "failed.json").write_text("[]")
    with pytest.raises(RecordError, match=r"failed\.json: not the reason of a failure: .*remove"):
        failure_reason(tmp_path, first)


def start(*arguments) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "feedbench.bench.cli", "study", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )


def trainings_of(process) -> list[psutil.Process]:
    return children_of(process.pid)


def wait_until(condition, process) -> None:
    while not condition():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_a_study_resumes_after_ctrl_c_and_kill_and_lists_failed_runs(tmp_path, tiny_photos):
    grid = '"recipe.base_learning_rate" = [1e38, 0.1]'
    out = tmp_path / "out"
    good = out / "runs" / "1-base_learning_rate=0.1-seed-0"
    bad = out / "runs" / "0-base_learning_rate=1e38-seed-0" / "failed.json"
    (tmp_path / "small.py").write_text(MODEL)
    file = write_file(tmp_path, grid, data=tiny_photos, seeds=1)
    file.write_text(file.read_text().replace(NETWORK, f'network = "{tmp_path}/small.py:build"\n'))
    running = start(file, "--out", out)
    wait_until((good / "recipe.toml").exists, running)
    running.send_signal(signal.SIGINT)
    output, errors = running.communicate(timeout=240)
    assert running.returncode == 130, output
    assert f"to resume: feedbench study --resume {out}" in errors
    failed_at = bad.stat().st_mtime_ns

    running = start("--resume", out)
    wait_until(lambda: trainings_of(running), running)
    (training,) = trainings_of(running)
    running.kill()
    running.communicate()
    psutil.wait_procs([training], timeout=60)
    assert not training.is_running()

    running = start("--resume", out)
    output, errors = running.communicate(timeout=300)
    assert (running.returncode, errors) == (0, ""), output
    assert "[1/2] recipe.base_learning_rate 1e+38, seed 0: skipped, already run" in output
    assert bad.stat().st_mtime_ns == failed_at
    assert (good / "training.json").exists()
    report = json.loads((out / "study.json").read_text())
    assert report["missing"] == 0
    assert [len(value["accuracies"]) for value in report["effects"][0]["values"]] == [0, 1]
    (reason,) = report["failed"].values()
    assert "the loss is" in reason
    assert reason in output
