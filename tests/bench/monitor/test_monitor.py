"""A FitMonitor tells waits from steps under every backend, and changes nothing in the training."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from feedbench import FitMonitor
from feedbench.bench.cli import main
from feedbench.bench.environment import began_at

FITS = Path(__file__).with_name("fits.py")
SLEEP_S = 0.15  # as in fits.py
BACKENDS = [
    "tensorflow",
    pytest.param("jax", marks=pytest.mark.guests("jax")),
    pytest.param("torch", marks=pytest.mark.guests("torch")),
]


@pytest.fixture(scope="module", params=BACKENDS)
def fits(request, tmp_path_factory):
    """All that fits.py found under one backend, and what it printed on standard error."""
    if find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    folder = tmp_path_factory.mktemp(request.param)
    done = subprocess.run(
        [sys.executable, FITS, folder],
        env={**os.environ, "KERAS_BACKEND": request.param},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    said = dict(part.split("\n", 1) for part in done.stderr.split("--- ")[1:])
    return request.param, json.loads((folder / "found.json").read_text()), said


def test_a_sleep_in_the_data_is_a_wait(fits):
    backend, found, said = fits
    one = found["slow_data"]
    assert one["record"]["backend"] == backend
    assert one["figures"]["batches"] == 8
    (blocks,) = one["blocks"]
    pairs = [
        sum(pair) for block in blocks for pair in zip(block["wait_s"], block["step_s"], strict=True)
    ]
    # The first batch may have been made while the step before it took long.
    assert sum(pairs) >= 0.95 * 7 * SLEEP_S
    # On a busy machine slow steps hide a part of the sleep, so no share can be asked for.
    waits = sum(wait for block in blocks for wait in block["wait_s"])
    # Keras' own work between two steps is in the seconds, but in none of the pairs.
    seconds = sum(block["seconds"] for block in blocks)
    assert seconds >= sum(pairs) - 1e-4  # pairs are rounded to microseconds
    assert one["figures"]["wait_share"] == pytest.approx(waits / seconds, abs=0.001)
    assert waits > 0
    assert one["figures"]["idle_share"] <= one["figures"]["wait_share"]
    assert "FitMonitor: Over 8 batches, the device waited for data" in said["slow_data"]
    assert f"feedbench show {one['folder']}" in said["slow_data"]


def test_a_sleep_in_the_step_is_no_wait(fits):
    one = fits[1]["slow_step"]
    (blocks,) = one["blocks"]
    assert all(step >= SLEEP_S for block in blocks for step in block["step_s"])
    assert one["figures"]["wait_share"] < 0.2


def test_a_repeated_batch_is_not_slowed_by_the_data(fits):
    one = fits[1]["ceiling"]
    assert one["figures"]["stall"]["median"] > 0.5
    fit, ceiling = one["blocks"]
    assert len(ceiling) == 5
    assert {block["images"] // len(block["step_s"]) for block in [*fit, *ceiling]} == {8}
    assert "on a repeated batch" in fits[2]["ceiling"]


def test_the_training_is_the_same_to_the_bit(fits):
    curves = fits[1]["same_training"]
    assert len(curves["none"][0]) == 40
    assert curves["monitor"] == curves["none"]
    assert curves["ceiling"] == curves["none"]


def has_steps(count, backend, most):
    """Whether all steps were timed; outside TensorFlow, ends that were seen late are left out."""
    return count == most if backend == "tensorflow" else 0 < count <= most


def test_every_kind_of_data_is_measured(fits):
    for name, (kind, count) in fits[1]["kinds_of_data"].items():
        assert kind == name
        assert has_steps(count, fits[0], 8)


def test_models_are_measured_as_they_are_compiled(fits):
    ways = fits[1]["compiled_in_other_ways"]
    assert set(ways) >= {"eager", "own"}
    for name, (count, *is_same) in ways.items():
        assert has_steps(count, fits[0], 9 if name == "steps" else 8)
        assert is_same == [True, True]


def test_the_repeated_batch_is_timed_after_an_optimizer_set_the_averages(fits):
    assert fits[1]["ending_with_averages"] == [True, True]


def test_too_few_batches_are_reported(fits):
    one = fits[1]["too_short"]
    assert one["figures"] is None
    assert "only 3 batches were seen" in fits[2]["too_short"]


def test_epochs_of_one_step_are_reported(fits):
    assert fits[1]["short_epochs"]["figures"] is None
    assert "give fit epochs of more steps" in fits[2]["short_epochs"]


def test_one_monitor_measures_several_fits(fits):
    first, second = fits[1]["several_fits"]
    assert second == f"{first}-2"


def test_a_validation_is_not_counted(fits):
    blocks, spans = fits[1]["validation"]
    assert len(spans) == 3
    assert has_steps(sum(len(block["wait_s"]) for block in blocks), fits[0], 24)
    for block in blocks:
        ended = block["began"] + block["seconds"]
        assert all(ended <= begin or block["began"] >= end for begin, end in spans)


def test_the_record_is_shown(fits, capsys, monkeypatch, tmp_path):
    suffixes = {"timeline": ".png", "trace": ".json", "json": ".json"}
    files = {name: tmp_path / f"{name}{suffix}" for name, suffix in suffixes.items()}
    options = [word for name, file in files.items() for word in (f"--{name}", str(file))]
    folder = fits[1]["ceiling"]["folder"]
    monkeypatch.setattr(sys, "argv", ["feedbench", "show", folder, *options])
    with pytest.raises(SystemExit) as ended:
        main()
    output = capsys.readouterr()
    assert not ended.value.code
    written = [f"Written: {files[name]}" for name in ("timeline", "trace")]
    assert output.err.splitlines() == written
    assert f"generator → fit of small → {fits[0]} on " in output.out
    assert "on a repeated batch" in output.out
    assert "winner" not in output.out
    assert all(file.stat().st_size for file in files.values())
    assert json.loads(files["json"].read_text())["figures"]["batches"] == 8
    assert began_at(Path(folder) / "fit.json") is not None


def test_an_error_ends_the_training_as_without_a_monitor(fits):
    one = fits[1]["broken"]
    assert all(without == with_monitor for without, with_monitor in one["errors"])
    assert [without[0] for without, _ in one["errors"]][1] == "KeyboardInterrupt"
    assert one["samplers"] == 0
    assert one["later"] == 1


def test_an_error_of_the_monitor_does_not_end_the_training(fits):
    assert fits[1]["failing_monitor"] == [1, 0]
    assert "The training continues without it" in fits[2]["failing_monitor"]


def test_distributed_training_is_not_measured(fits):
    if fits[0] == "tensorflow":
        assert fits[1]["two_devices"] == 0
        assert fits[2]["two_devices"].count("distributed training is not supported") == 1


@pytest.mark.parametrize(
    "options", [{"steps": 0}, {"steps": "200"}, {"steps": 1.5}, {"warm_up": -1}, {"warm_up": None}]
)
def test_an_impossible_option_is_named(options):
    ((name, value),) = options.items()
    with pytest.raises(ValueError, match=f"{name} must be a whole number of .*: {name}={value!r}"):
        FitMonitor(**options)


def test_importing_the_package_imports_no_keras():
    code = "import sys, feedbench; assert not {'tensorflow', 'keras'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
