"""CI repeats failed tests once: it fails on a test that fails twice, and on many flaky ones."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[1] / ".ci" / "repeat.py"
# One test that passes, one that fails once, one that fails always, and one that passes only in
# the other environment.
PROJECT = """
import os
from pathlib import Path
import pytest

@pytest.mark.guests
def test_guest():
    assert "GUESTS" in os.environ

def test_good():
    pass

def test_flaky():
    seen = Path("seen")
    if not seen.exists():
        seen.touch()
        pytest.fail("for the first time")

def test_broken():
    pytest.fail("always")
"""


@pytest.fixture
def repeat():
    spec = importlib.util.spec_from_file_location("repeat", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def in_project(folder: Path, *command) -> subprocess.CompletedProcess:
    # The settings of this repository's pyproject.toml do not apply there.
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = guests\n")
    return subprocess.run(
        [sys.executable, *map(str, command)],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def run_twice(folder: Path, selection: str) -> tuple[int, list[str]]:
    (folder / "test_it.py").write_text(PROJECT)
    in_project(folder, "-m", "pytest", "-k", selection)
    done = in_project(folder, SCRIPT)
    return done.returncode, done.stdout.splitlines()


def test_a_test_that_passes_when_repeated_is_listed_last_as_flaky(tmp_path):
    code, lines = run_twice(tmp_path, "good or flaky")
    assert code == 0
    assert lines[-1] == "FLAKY: test_it.py::test_flaky failed, then passed alone"


def test_a_test_that_fails_twice_fails_the_build(tmp_path):
    code, lines = run_twice(tmp_path, "flaky or broken")
    assert code == 1
    assert "FAILED TWICE: test_it.py::test_broken" in lines
    assert "1 failed, 1 passed" in "\n".join(lines)


def test_a_test_of_optional_packages_is_repeated_in_their_environment(tmp_path):
    python = tmp_path / ".venv-guests" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\nGUESTS=1 exec {sys.executable} "$@"\n')
    python.chmod(0o755)
    code, lines = run_twice(tmp_path, "good or guest")
    assert code == 0
    assert lines[-1] == "FLAKY: test_it.py::test_guest failed, then passed alone"


def test_a_session_that_ended_early_fails_the_build(tmp_path):
    code, lines = run_twice(tmp_path, "good")
    assert code == 1
    assert lines[-1].startswith("The tests ended early")


@pytest.mark.parametrize(
    ("first", "second", "passes"),
    [("ab", "", True), ("abc", "", False), ("a", "a", False), ("ab", "b", False)],
)
def test_two_flaky_tests_pass_three_or_a_broken_one_do_not(repeat, first, second, passes):
    assert repeat.verdict(set(first), set(second))[0] is passes
