"""Diagnosis, bench, calibration and training on two logical devices of the CPU."""

import json
import os
import subprocess
import sys

import pytest

from feedbench.bench.compare.from_diagnosis import of_diagnosis
from feedbench.bench.diagnose.record import RECORD, read_diagnosis
from feedbench.bench.results.find import read_result

pytestmark = pytest.mark.beyond
TWO = ["--devices", "cpu:2"]
SIZES = ["--batch-size", "8", "--image-size", "32"]
EACH = "each with 4 of the 8 images of a batch"
# With short blocks; in a process of its own, as a user starts it.
PROGRAM = """
import functools
from feedbench.bench.diagnose import selftest, setup
selftest._BLOCK_S = 0.05
setup.DiagnosisTiming = functools.partial(
    setup.DiagnosisTiming, stage_s=0.05, block_s=0.3, end_to_end_s=0.3, warm_up_s=0.1
)
from feedbench.bench.cli import main
main()
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("devices")
    (folder / "recipe.toml").write_text('network = "MobileNet"\nalpha = 0.25\nepochs = 1\n')
    return folder


@pytest.fixture(scope="module")
def run(folder):
    """A function: run a command, and return what it printed and its exit code."""

    def run(command, *words, devices=TWO):
        options = [*devices, *SIZES, "--recipe", "recipe.toml", "--out", command]
        done = subprocess.run(
            [sys.executable, "-c", PROGRAM, command, *map(str, words), *options],
            capture_output=True,
            text=True,
            cwd=folder,
            env={**os.environ, "COLUMNS": "200", "FEEDBENCH_CONFIG": str(folder / "config")},
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return done.stdout, done.stderr, done.returncode

    return run


@pytest.fixture(scope="module")
def diagnosed(run, splits_folder):
    out, errors, code = run("diagnose", splits_folder, "--loader", "turbo", "--seconds", 1)
    assert code in (0, 1), errors  # 1: no verdict, on a busy machine
    return out


def test_a_diagnosis_records_its_devices_and_names_them(diagnosed, folder):
    record = read_diagnosis(folder / "diagnose" / RECORD)
    assert record.devices == ["CPU:0", "CPU:1"]
    assert not record.on_gpu
    failed = [part.error for part in record.parts if part.error]
    assert failed == []
    assert "→ the trainer on 2 logical devices of the CPU" in diagnosed
    assert EACH in diagnosed


def test_the_number_of_devices_is_a_condition_of_a_diagnosis(diagnosed, folder):
    subject = of_diagnosis(read_result(folder / "diagnose"))
    assert subject.facts["machine"]["devices"] == "2"


def test_a_bench_has_the_scaling_of_its_devices_and_its_winner_trains_on_as_many(
    run, folder, splits_folder
):
    short = ["--blocks", 3, "--block-seconds", 0.3, "--warm-up-seconds", 0.1, "--no-tensorboard"]
    out, errors, code = run("bench", splits_folder, "--loader", "turbo", *short)
    assert code == 0, errors
    assert "scaling" in out
    trials = json.loads((folder / "bench" / "summary.json").read_text())["trials"]
    (turbo,) = [one for one in trials if one["loader"] == "turbo"]
    assert turbo["scaling_efficiency"]["median"] > 0
    assert turbo["accelerator_utilization"]["median"] > 0
    assert sorted(one["scaling_efficiency"] is None for one in trials) == [False, False, True]
    best = folder / "bench" / "best.toml"
    out, errors, code = run("train", splits_folder, "--loader", best, devices=[])
    assert code == 0, errors
    assert EACH in out + errors
    assert json.loads((folder / "train" / "training.json").read_text())["devices"] == "cpu:2"


def test_a_profile_is_that_of_all_devices(run, folder):
    short = ["--blocks", 2, "--block-seconds", 0.2]
    _, errors, code = run("calibrate", "pair", *short)
    assert code == 0, errors
    profile = (folder / "config" / "accelerators.toml").read_text()
    assert "2 × logical devices" in profile
