"""The quickstart, shortened, on real processes: progress, then table, verdict and next commands."""

import csv
import json
import sys
import tomllib
from pathlib import Path

import pytest

from feedbench.bench.cli import main
from feedbench.bench.commands import quickstart
from feedbench.bench.plan import suites
from feedbench.loaders import scan


@pytest.fixture
def shortened(monkeypatch):
    """One loader beside the synthetic one, two short blocks and two epochs of few images."""
    first = suites.built_in_trials
    monkeypatch.setattr(suites, "built_in_trials", lambda *asked: first(*asked)[:1])
    monkeypatch.setattr(quickstart, "IMAGES", 96)
    monkeypatch.setitem(quickstart._RECIPE, "epochs", 2)
    monkeypatch.setitem(quickstart._TIMING, "blocks", 2)
    monkeypatch.setitem(quickstart._TIMING, "block_seconds", 0.1)


def test_it_ends_with_the_table_the_verdict_and_the_next_commands(
    shortened, monkeypatch, capfd, tmp_path
):
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["feedbench", "quickstart", "--out", str(out)])
    with pytest.raises(SystemExit) as ended:
        main()
    shown, progress = capfd.readouterr()
    assert not ended.value.code, progress
    assert progress.startswith(f"About two minutes on two CPU cores. Results: {out}\n")
    assert "Epoch 2/2: " in progress
    assert "Epoch" not in shown
    table, accuracy = shown.index("images/s"), shown.index("Test accuracy: ")
    assert table < accuracy < shown.index("Rate check: ") < shown.index("Next, with these results")
    assert shown.splitlines()[-1].startswith("  feedbench diagnose photos/")
    assert f"  feedbench report {out}  #" in shown
    for file in ("bench/best.toml", "training/model.keras", "photos/train"):
        assert (out / file).exists()
    _the_bench_has_a_baseline_and_predicts(out / "bench")
    _the_training_is_recorded(out / "training")


def _the_bench_has_a_baseline_and_predicts(folder):
    first, baseline = json.loads((folder / "summary.json").read_text())["trials"]
    assert (first["loader"] != "synthetic", baseline["loader"]) == (True, "synthetic")
    assert baseline["accelerator_utilization"]["median"] == 1
    best = tomllib.loads((folder / "best.toml").read_text())
    assert best["loader"] == first["loader"]
    assert best["predicted"]["images_per_second"]["median"] > 0


def _the_training_is_recorded(folder):
    result = json.loads((folder / "training.json").read_text())
    with (folder / "history.csv").open() as file:
        images = [int(row["images"]) for row in csv.DictReader(file)]
    assert images == [epoch["images"] for epoch in result["epochs"]]
    assert len(images) == 2
    best = tomllib.loads((folder.parent / "bench" / "best.toml").read_text())
    assert result["rows"] == best["rows"]
    assert tomllib.loads((folder / "recipe.toml").read_text()) == result["recipe"]
    assert result["promise"]["met"] is None
    assert "cannot tell" in result["promise"]["text"]


def test_each_kind_of_loader_is_timed_once_in_enough_blocks_for_an_interval(tiny_photos):
    suite = quickstart._suite(scan(tiny_photos))
    names = [choice.loader for choice in suite.trial]
    assert len(set(names)) == len(names) > 3
    assert suite.timing.blocks >= 6


@pytest.mark.parametrize("is_found", [True, False])
def test_the_environment_is_named_where_the_shell_does_not_find_the_command(
    is_found, monkeypatch, tmp_path
):
    script = tmp_path / ".venv" / "bin" / "activate"
    script.parent.mkdir(parents=True)
    script.touch()
    command = script.with_name("feedbench")
    command.touch(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / ".venv"))
    monkeypatch.setenv("PATH", str(command.parent if is_found else tmp_path))
    said = "source .venv/bin/activate" in quickstart._next_commands(Path("results"), "")
    assert said is not is_found
