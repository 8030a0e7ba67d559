"""Whatever the shell gives a command to write to: one line and an exit code, never a traceback."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = f"{sys.executable} -m feedbench.bench.cli"


PUBLISHED = Path(__file__).parents[3] / "results" / "clothing-cpu"


def shell(line, **environment):
    return subprocess.run(
        ["bash", "-c", line.replace("feedbench", PROGRAM, 1)],
        capture_output=True,
        encoding="utf-8",
        errors="replace",
        check=False,
        env={**os.environ, **environment},
    )


@pytest.mark.parametrize("columns", ["", "abc", "0", "-1", "1e3"])
@pytest.mark.parametrize("command", ["feedbench accelerators", "feedbench --help"])
def test_a_width_that_is_none_is_ignored(command, columns):
    told = shell(command, COLUMNS=columns)
    assert (told.returncode, told.stderr) == (0, "")
    assert len(told.stdout.splitlines()) > 10


@pytest.mark.parametrize("command", ["accelerators", "loaders", "--help", "recipe"])
def test_a_closed_output_is_written_to_by_nobody(command, tmp_path):
    told = shell(f"feedbench {command} >&-")
    assert (told.returncode, told.stderr) == (0, "")


def test_a_file_does_not_take_the_number_of_a_closed_output(tmp_path):
    kept = tmp_path / "a.json"
    told = shell(f"feedbench accelerators --json {kept} >&- 2>&- <&-")
    assert told.returncode == 0
    assert kept.read_text().startswith("{")


def test_without_an_error_output_the_exit_code_tells(tiny_photos):
    assert shell(f"feedbench bench {tiny_photos} --loader torch 2>&-").returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "command", ["accelerators", "--help", "--version", "recipe", "scan {photos} --bad"]
)
def test_a_full_disk_is_one_line_and_exit_code_1(command, tiny_photos):
    told = shell(f"feedbench {command.format(photos=tiny_photos)} > /dev/full")
    assert told.returncode == 1
    assert told.stderr.splitlines()[-1].startswith("feedbench: No space left on device")
    assert "Traceback" not in told.stderr
    assert "Exception ignored" not in told.stderr


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
@pytest.mark.parametrize("command", ["accelerators", "bench --help", "make-data --help"])
def test_signs_that_the_output_cannot_hold_are_replaced(command, encoding):
    told = shell(f"feedbench {command}", PYTHONIOENCODING=encoding)
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout


def test_a_reader_that_leaves_is_no_error():
    told = shell("feedbench recipe | head -1")
    assert (told.returncode, told.stderr) == (0, "")


def test_a_removed_folder_is_one_line_and_exit_code_2(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    told = shell(f"cd {gone} && rmdir {gone} && feedbench bench photos")
    assert told.returncode == 2
    assert told.stderr == "feedbench: the current folder was removed; change to another one\n"


@pytest.mark.parametrize("name", ["x.foo", "x.jsonl"])
def test_a_picture_of_an_unknown_kind_is_refused(name, tmp_path):
    told = shell(f"feedbench show {PUBLISHED} --timeline {tmp_path / name}")
    assert told.returncode == 2
    assert told.stderr.startswith(f"feedbench: {tmp_path / name}: no picture format")
    assert not list(tmp_path.iterdir())
    assert told.stderr.count("\n") == 1
