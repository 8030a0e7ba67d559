"""The script that measures how often comparisons are right, on one pair of each kind."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "results" / "compare" / "measure.sh"
WORDS = ("equal", "slowed")


@pytest.fixture
def measure(tiny_photos, tmp_path):
    """A function: run the script in one way; returns the lines that it prints."""
    commands = tmp_path / "bin"
    commands.mkdir()
    for name, module in (("feedbench", "-m feedbench.bench.cli"), ("python", "")):
        (commands / name).write_text(f'#!/bin/sh\nexec {sys.executable} {module} "$@"\n')
        (commands / name).chmod(0o755)
    variables = {"PATH": f"{commands}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT)}

    def run(way: str) -> list[str]:
        done = subprocess.run(
            [SCRIPT, tiny_photos, tmp_path / "out", way, "1", "1"],
            env=os.environ | variables,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        return done.stdout.splitlines()

    return run


def test_pairs_of_each_way_are_counted_and_a_second_start_resumes(measure, tmp_path):
    first = measure("compare")
    assert first[0].startswith("pair 1 of 1, after ")
    assert [line.split(" | ")[0] for line in first[3:]] == ["| equal (1)", "| slowed (1)"]
    runs = {path: path.stat().st_mtime_ns for path in tmp_path.glob("out/runs/*/trials.jsonl")}
    assert len(runs) == 3
    again = measure("compare")
    assert again[1:] == first[1:]
    assert {path: path.stat().st_mtime_ns for path in runs} == runs
    both = [line.split(" | ")[0] for line in measure("against")[3:]]
    assert both[:2] == ["| against, equal (1)", "| against, slowed (1)"]
    assert len(both) == 4
    kinds = [line.split(" | ")[0] for line in measure("relative")[3:]]
    ways = [f"| {way}, {kind} (1)" for way in ("beside turbo", "relative") for kind in WORDS]
    assert set(kinds) == {*both, *ways}
