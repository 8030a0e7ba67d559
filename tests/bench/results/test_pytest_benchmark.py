"""A bench is saved in the format of pytest-benchmark, which compares and draws it."""

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from pytest_benchmark.stats import Stats

from feedbench.bench.errors import RecordError
from feedbench.bench.results.find import read_result
from feedbench.bench.results.pytest_benchmark import as_pytest_benchmark, stats
from feedbench.bench.trials_file import write_trials

RESULTS = Path(__file__).parents[3] / "results"
SPEC = {"image_size": 8, "batch_size": 4, "resize": "stretch", "interpolation": "nearest"}


@pytest.mark.parametrize("count", [*range(1, 12), 20])
def test_the_statistics_are_those_of_pytest_benchmark(count):
    data = (0.01 + np.random.default_rng(count).exponential(0.01, count)).tolist()
    theirs = Stats()
    for value in data:
        theirs.update(value)
    ours = stats(data)
    for field, value in theirs.as_dict().items():
        assert ours[field] == pytest.approx(value), field
    assert ours["data"] == data


def test_operations_are_images_and_a_round_is_a_block():
    (first, *_) = values = as_pytest_benchmark(read_result(RESULTS / "clothing-cpu"))["benchmarks"]
    assert len(values) == 7
    assert first["extra_info"]["unit"] == "seconds per image"
    assert first["stats"]["rounds"] == 7
    assert 200 < first["stats"]["ops"] < 500


def test_blocks_of_the_winner_after_the_choice_do_not_count(tmp_path, trial):
    chosen = trial("tf_data", [100, 100, 100, 10], consumer="drain", chosen_before=3)
    write_trials(tmp_path, [chosen.model_copy(update={"spec": SPEC})])
    (benchmark,) = as_pytest_benchmark(read_result(tmp_path))["benchmarks"]
    assert benchmark["stats"]["ops"] == pytest.approx(100)


@pytest.mark.parametrize("place", ["range-study", "tune-vs-grid/drain/grid-1.json"])
def test_a_result_without_raw_blocks_is_refused(place):
    with pytest.raises(RecordError, match="needs timed blocks; give the folder of a bench"):
        as_pytest_benchmark(read_result(RESULTS / place))


def test_a_bench_without_a_block_is_refused(tmp_path, trial):
    write_trials(tmp_path, [trial("tf_data", [], error="crashed")])
    with pytest.raises(RecordError, match="no block was timed"):
        as_pytest_benchmark(read_result(tmp_path))


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> list[Path]:
    """Two runs of limits in the format of pytest-benchmark."""
    folder = tmp_path_factory.mktemp("runs")
    paths = []
    for name in ("clothing", "imagenet"):
        values = as_pytest_benchmark(read_result(RESULTS / "limits" / name))
        paths.append(folder / f"{name}.json")
        paths[-1].write_text(json.dumps(values))
    return paths


def compare(folder, *arguments) -> str:
    program = Path(sys.executable).with_name("pytest-benchmark")
    command = [program, "compare", *map(str, arguments)]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout + done.stderr


def test_the_real_command_compares_two_runs(files, tmp_path):
    text = compare(tmp_path, *files, "--sort", "name", "--csv", str(tmp_path / "compared"))
    assert "benchmark 'drain'" in text
    for name in ("turbo decode=full", "keras_directory"):
        assert text.count(f"\n{name} (") == 2
    assert len((tmp_path / "compared.csv").read_text().splitlines()) > 10


@pytest.mark.skipif(not find_spec("pygal"), reason="needs pytest-benchmark[histogram]")
def test_the_real_command_draws_a_histogram(files, tmp_path):
    compare(tmp_path, *files, f"--histogram={tmp_path / 'histogram'}")
    (picture,) = tmp_path.glob("histogram*.svg")
    assert "turbo decode=full" in picture.read_text()
