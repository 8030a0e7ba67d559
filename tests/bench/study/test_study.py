"""A study: its grid, its interleaving, its verdicts, and that a killed one goes on."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from feedbench.bench.commands.options import TRAINING_SPEC
from feedbench.bench.errors import PlanError
from feedbench.bench.study.messages import Begun
from feedbench.bench.study.report import difference
from feedbench.bench.study.run import begin_study, failure, run_all
from feedbench.bench.study.study import read_study, runs_of
from feedbench.bench.trials.messages import Failed, Service
from feedbench.loaders import scan

FILE = """
data = "{data}"
seeds = {seeds}
[spec]
image_size = 32
batch_size = 8
[recipe]
alpha = 0.35
epochs = 2
[grid]
{grid}
"""
RANGES = '"spec.value_range" = [[0, 1], [-1, 1]]'


def written(folder, grid=RANGES, data="photos", seeds=3):
    path = folder / "study.toml"
    path.write_text(FILE.format(grid=grid, data=data, seeds=seeds))
    return path


def test_a_grid_becomes_runs_seed_by_seed(tmp_path):
    grid = RANGES + '\n"recipe.optimizer" = ["sgd", "adam"]\n"spec.augment.rotation" = [0, 20]'
    runs = runs_of(read_study(written(tmp_path, grid)), TRAINING_SPEC)
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


def test_a_study_takes_the_best_toml_in_a_result_folder(tmp_path):
    best = 'loader = "turbo"\nsettings = {prefetch = 3}\nrecipe = {epochs = 9, momentum = 0.8}'
    (tmp_path / "best.toml").write_text(best)
    path = written(tmp_path)
    path.write_text(f'loader = "{tmp_path}"\n{path.read_text()}')
    run = runs_of(read_study(path), TRAINING_SPEC)[0]
    assert (run.best.loader, run.best.settings) == ("turbo", {"prefetch": 3})
    assert (run.recipe.epochs, run.recipe.momentum) == (2, 0.8)


@pytest.mark.parametrize(
    ("grid", "said"),
    [
        ('"value_range" = [[0, 1], [-1, 1]]', "it must be spec., recipe. or settings."),
        ('"recipe.seed" = [0, 1]', "say how many seeds"),
        ('"recipe.epochs" = [1]', "needs two values or more"),
        ('"recipe.epochs" = [1, 1]', "each once"),
        ('"recipe.epochs" = [1, 0]', "recipe: epochs"),
        ("", "grid"),
    ],
)
def test_a_grid_that_makes_no_sense_is_refused(tmp_path, grid, said):
    with pytest.raises(PlanError, match=said):
        runs_of(read_study(written(tmp_path, grid)), TRAINING_SPEC)


def rights(random, share, images=400):
    return {f"{number}.jpg": bool(random.random() < share) for number in range(images)}


def test_a_difference_is_real_only_where_seeds_and_images_leave_no_doubt():
    random = np.random.default_rng(0)
    far = [(rights(random, 0.9), rights(random, 0.6)) for _ in range(4)]
    found = difference(far, 0.95)
    assert found.real
    assert found.low < 0.3 < found.high
    assert found.p_value < 0.01
    same = [(rights(random, 0.7), rights(random, 0.7)) for _ in range(4)]
    assert not difference(same, 0.95).real
    # Seeds that disagree leave doubt, however many images agree within each.
    swings = [(rights(random, 0.5 + 0.2 * seed), rights(random, 0.6)) for seed in range(3)]
    assert not difference(swings, 0.95).real
    assert not difference(far[:1], 0.95).real
    wide = difference(far, 0.99)
    assert wide.high - wide.low > found.high - found.low


def test_intervals_hold_as_often_as_they_say():
    """Ninety-five of a hundred, and no fewer, of studies without any difference."""
    random = np.random.default_rng(1)
    false = 0
    for _ in range(200):
        shares = 0.7 + 0.02 * random.standard_normal((3, 2))
        pairs = [(rights(random, one, 100), rights(random, two, 100)) for one, two in shares]
        false += difference(pairs, 0.95).real
    assert false <= 18


def test_a_training_whose_process_dies_says_how(tmp_path, tiny_photos, monkeypatch):
    monkeypatch.setattr("feedbench.bench.study.run.STUDY_WORKER", Service("no_such_module", ()))
    study = read_study(written(tmp_path, data=tiny_photos, seeds=1))
    begin_study(tmp_path, study, scan(tiny_photos))
    first, second = runs_of(study, TRAINING_SPEC)
    events = []
    run_all(tmp_path, [first], lambda run, event: events.append(event))
    log = tmp_path / "runs" / first.name / "train.log"
    reason = f"ended with exit code 1 in the training; see {log}"
    assert events == [Begun(resumed=False), Failed(reason=reason)]
    assert (failure(tmp_path, first), failure(tmp_path, second)) == (reason, None)
    assert "No module named no_such_module" in log.read_text()


def start(*arguments) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-u", "-m", "feedbench.bench.cli", "study", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )


def trainings_of(process) -> list[psutil.Process]:
    return psutil.Process(process.pid).children(recursive=True)


def wait_until(holds, process) -> None:
    while not holds():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


def test_a_study_survives_ctrl_c_and_kill_and_names_what_failed(tmp_path, tiny_photos):
    grid = '"recipe.base_learning_rate" = [1e18, 0.1]'
    out = tmp_path / "out"
    good = out / "runs" / "1-base_learning_rate=0.1-seed-0"
    bad = out / "runs" / "0-base_learning_rate=1e18-seed-0" / "failed.json"
    running = start(written(tmp_path, grid, data=tiny_photos, seeds=1), "--out", out)
    wait_until((good / "recipe.toml").exists, running)
    running.send_signal(signal.SIGINT)
    told, errors = running.communicate(timeout=60)
    assert running.returncode == 130, told
    assert f"resume with feedbench study --resume {out}" in errors
    failed_at = bad.stat().st_mtime_ns

    running = start("--resume", out)
    wait_until(lambda: trainings_of(running), running)
    (training,) = trainings_of(running)
    running.kill()
    running.communicate()
    psutil.wait_procs([training], timeout=10)
    assert not training.is_running()

    running = start("--resume", out)
    told, errors = running.communicate(timeout=120)
    assert (running.returncode, errors) == (0, ""), told
    assert "[1/2] recipe.base_learning_rate 1e+18, seed 0: already finished" in told
    assert bad.stat().st_mtime_ns == failed_at
    assert (good / "training.json").exists()
    report = json.loads((out / "study.json").read_text())
    assert report["missing"] == 0
    assert [len(value["accuracies"]) for value in report["effects"][0]["values"]] == [0, 1]
    (reason,) = report["failed"].values()
    assert "the loss is" in reason
    assert reason in told
