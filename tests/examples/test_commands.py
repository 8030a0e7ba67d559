"""Every command on the examples, at the smallest sizes."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from feedbench.bench.commands import limits
from feedbench.bench.diagnose.record import RECORD, read_diagnosis
from feedbench.bench.diagnose.tf_graph.derive import mistakes_in
from feedbench.bench.trials_file import read_trials

pytestmark = pytest.mark.usefixtures("beside_examples")

EXAMPLES = Path(__file__).parents[2] / "examples"
BATCHES = ("--batch-size", 16, "--image-size", 32)
SHORT = ("--blocks", 1, "--block-seconds", 0.1, "--warm-up-seconds", 0.1)
DRAINED = ("--consumer", "drain", *BATCHES, *SHORT)
PIPELINES = (
    "load_img_generator.py:make_batches",
    "load_img_generator.py:make_dataset",
    "tf_data_guide.py:make_dataset",
    "directory_augment.py:make_dataset",
    "py_dataset.py:make_dataset",
    "two_inputs.py:make_dataset",
)
OWN_STEP = ("--model", "train_step.py:build", *BATCHES)


def loaders(names):
    return [word for name in names for word in ("--loader", name)]


def timed(folder):
    """The trials of a bench, of which none has failed."""
    trials = read_trials(folder)
    assert [trial.error for trial in trials if trial.error] == []
    assert all(trial.blocks for trial in trials)
    return trials


def test_bench_times_each_pipeline_and_show_repeats_its_table(photos, feedbench, tmp_path):
    grid = ("--set", "py_dataset.py:make_dataset.workers=1,2")
    feedbench("bench", photos, *loaders(PIPELINES), *grid, *DRAINED, "--out", tmp_path / "out")
    trials = timed(tmp_path / "out")
    assert {trial.loader for trial in trials} == set(PIPELINES)
    assert {Path(trial.own.file).parent for trial in trials} == {EXAMPLES}
    assert {trial.settings.get("workers") for trial in trials} == {None, 1, 2}
    shown = feedbench("show", tmp_path / "out")
    assert [name for name in PIPELINES if name not in shown] == []
    assert shown.count("(pixels not compared)") == len(trials)
    _report_and_compare_know_their_names(tmp_path, feedbench)


def _report_and_compare_know_their_names(folder, feedbench):
    feedbench("report", folder / "out", "--out", folder / "report.html")
    page = (folder / "report.html").read_text()
    assert [name for name in PIPELINES if name not in page] == []
    shutil.copytree(folder / "out", folder / "again")
    compared = feedbench("compare", folder / "out", folder / "again")
    assert [name for name in PIPELINES if name not in compared] == []


def test_a_search_tries_what_the_file_declares(photos, feedbench, tmp_path):
    search = ("--consumer", "drain", "--budget", "20s", "--out", tmp_path / "out")
    feedbench(
        "tune", photos, "--loader", "tf_data_guide.py:make_dataset", *BATCHES, *search, code=None
    )
    tried = [trial.settings for trial in read_trials(tmp_path / "out") if trial.blocks]
    assert tried[0] == {}
    assert all(set(settings) <= {"workers", "prefetch"} for settings in tried)


def test_diagnose_names_the_mistake_and_its_line(photos, feedbench, tmp_path):
    name = "directory_augment.py:make_dataset"
    timing = ("--consumer", "emulated:a100", "--seconds", 1, "--out", tmp_path / "out")
    # Exit code 1: no verdict, on a busy machine.
    printed = feedbench("diagnose", photos, "--loader", name, *BATCHES, *timing, code=None)
    record = read_diagnosis(tmp_path / "out" / RECORD)
    (found,) = (one for one in mistakes_in(record) if one.name == "serial map")
    lines = (EXAMPLES / "directory_augment.py").read_text().splitlines()
    assert found.text in lines[found.line - 1]
    assert found.gain is not None
    assert "serial map" in printed


def test_pixels_of_batches_without_rows_are_not_compared(photos, feedbench):
    names = ("keras_pil", "tf_data_guide.py:make_dataset")
    printed = feedbench("pixels", photos, *loaders(names), *BATCHES)
    assert "not compared" in printed


def test_limits_set_a_pipeline_beside_decoding_alone(photos, feedbench, tmp_path, monkeypatch):
    monkeypatch.setitem(limits._TIMING, "warm_up_seconds", 0.1)
    monkeypatch.setattr("feedbench.bench.limits.limits._DISK_S", 0.02)
    short = ("--blocks", 1, "--block-seconds", 0.1, "--out", tmp_path / "out")
    printed = feedbench(
        "limits", photos, "--loader", "tf_data_guide.py:make_dataset", *BATCHES, *short
    )
    assert "limit: libjpeg_turbo decode=full" in printed


def test_two_inputs_train_in_a_bench(photos, feedbench, tmp_path):
    own = ("--loader", "two_inputs.py:make_dataset", "--model", "two_inputs.py:build")
    feedbench("bench", photos, *own, *BATCHES, *SHORT, "--out", tmp_path / "out")
    for trial in timed(tmp_path / "out"):  # one is that of its first batch, repeated
        assert trial.model["file"] == str(EXAMPLES / "two_inputs.py")
        assert trial.consumer == "train"


def test_a_training_ends_with_the_model_and_its_curve(photos, feedbench, tmp_path):
    own = ("--loader", "py_dataset.py:make_dataset", "--epochs", 2)
    feedbench("train", photos, *own, *OWN_STEP, "--out", tmp_path / "out")
    assert (tmp_path / "out" / "model.keras").exists() or (
        tmp_path / "out" / "model.weights.h5"
    ).exists()
    assert len((tmp_path / "out" / "history.csv").read_text().splitlines()) == 3


def test_the_largest_batch_is_found_for_an_own_step(photos, feedbench):
    sizes = ("--min", 8, "--max", 8, "--seconds", 0.1, "--image-size", 32)
    printed = feedbench("batch-size", photos, "--model", "train_step.py:build", *sizes)
    assert "8  fits" in printed


def test_a_profile_is_calibrated_with_efficientnet(feedbench, tmp_path, monkeypatch):
    monkeypatch.setenv("FEEDBENCH_CONFIG", str(tmp_path))
    network = ("--model", "efficientnet.py:build", "--classes", 3, *BATCHES)
    blocks = ("--blocks", 1, "--block-seconds", 0.1, "--out", tmp_path / "out")
    printed = feedbench("calibrate", "mine", *network, *blocks)
    assert "images/s, efficientnet.py:build, 32 px, batch 16. Saved as mine" in printed


def test_an_own_pipeline_needs_no_export(photos, feedbench, tmp_path):
    own = "tf_data_guide.py:make_dataset"
    printed = feedbench("export", own, "--out", tmp_path / "code.py", code=2)
    assert own in printed.splitlines()[-1]


def test_the_script_says_how_long_its_device_waits(photos, tmp_path):
    done = subprocess.run(
        [sys.executable, EXAMPLES / "fit_script.py", photos],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(EXAMPLES.parent)},
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "FitMonitor: Over " in done.stderr
    assert "the device waited for data" in done.stderr
    assert list((tmp_path / "results").glob("fit-*"))


@pytest.mark.guests("torch")
def test_a_data_loader_of_torch_is_timed(photos, feedbench, tmp_path):
    own, grid = "torch_loader.py:make_loader", "make_loader.workers=0,2"
    feedbench("bench", photos, "--loader", own, "--set", grid, *DRAINED, "--out", tmp_path / "out")
    assert len(timed(tmp_path / "out")) == 2


@pytest.mark.guests("torch", "webdataset")
def test_shards_are_written_and_timed(photos, feedbench, tmp_path):
    shards = tmp_path / "shards"
    feedbench("pack", photos, shards, "--as", "webdataset", "--shards", 2)
    own = "webdataset_shards.py:make_loader"
    feedbench("bench", shards, "--loader", own, *DRAINED, "--out", tmp_path / "out")
    (trial,) = timed(tmp_path / "out")
    assert trial.images == 96
