"""Closed, full or removed outputs give an exit code and at most one line, never a traceback."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from feedbench.bench.commands.output import _progress_stream
from feedbench.bench.trials_file import read_trials

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
def test_an_invalid_width_is_ignored(command, columns):
    done = shell(command, COLUMNS=columns)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) > 10


@pytest.mark.parametrize("command", ["accelerators", "loaders", "--help", "recipe"])
def test_a_closed_output_is_no_error(command, tmp_path):
    done = shell(f"feedbench {command} >&-")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_does_not_get_the_descriptor_of_a_closed_output(tmp_path):
    kept = tmp_path / "a.json"
    done = shell(f"feedbench accelerators --json {kept} >&- 2>&- <&-")
    assert done.returncode == 0
    assert kept.read_text().startswith("{")


def test_the_exit_code_is_right_without_an_error_output(tiny_photos):
    assert shell(f"feedbench bench {tiny_photos} --loader torch 2>&-").returncode == 2


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize(
    "command", ["accelerators", "--help", "--version", "recipe", "scan {photos} --bad"]
)
def test_a_full_disk_is_one_line_and_exit_code_1(command, tiny_photos):
    done = shell(f"feedbench {command.format(photos=tiny_photos)} > /dev/full")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("feedbench: No space left on device")
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_log_of_progress_on_a_full_disk_ends_no_bench(tiny_photos, tmp_path):
    options = "--loader turbo --consumer drain --blocks 2 --block-seconds 0.1 --batch-size 8"
    options += " --warm-up-seconds 0"
    out = tmp_path / "out"
    done = shell(f"feedbench bench {tiny_photos} {options} --out {out} 2> /dev/full")
    assert done.returncode == 0, done.stdout
    (trial,) = read_trials(out)
    assert len(trial.blocks) == 2


def test_progress_for_a_terminal_that_was_closed_is_dropped():
    terminal, ours = os.openpty()
    with _progress_stream(ours, close=True) as stream:
        assert stream.isatty()
        os.close(terminal)
        stream.write("a line\n")


def test_progress_that_a_terminal_does_not_take_now_is_dropped():
    """Another program has set the terminal to return at once."""
    reader, ours = os.pipe()
    os.set_blocking(ours, False)
    with _progress_stream(ours, close=True) as stream:
        for _ in range(100):
            stream.write("x" * 9_999 + "\n")
    os.close(reader)


def test_a_line_is_written_once_if_ctrl_c_comes_just_after_it(tmp_path):
    def interrupt(frame, event, function):
        if event == "c_return" and frame.f_code.co_qualname == "_Progress.write":
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)

    log = tmp_path / "log"
    with log.open("wb") as file:
        stream = _progress_stream(file.fileno(), close=False)
        sys.setprofile(interrupt)
        with pytest.raises(KeyboardInterrupt):
            stream.write("comparing pixels\n")
        stream.write("interrupted\n")
    assert log.read_text() == "comparing pixels\ninterrupted\n"


def test_a_reader_of_progress_that_is_gone_ends_the_command():
    reader, ours = os.pipe()
    stream = _progress_stream(ours, close=False)
    os.close(reader)
    with pytest.raises(BrokenPipeError):
        stream.write("a line\n")
    os.dup2(os.open(os.devnull, os.O_WRONLY), ours)
    stream.close()


@pytest.mark.parametrize("encoding", ["latin-1", "ascii"])
@pytest.mark.parametrize("command", ["accelerators", "bench --help", "make-data --help"])
def test_characters_outside_the_encoding_are_replaced(command, encoding):
    done = shell(f"feedbench {command}", PYTHONIOENCODING=encoding)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_a_closed_pipe_is_no_error():
    done = shell("feedbench recipe | head -1")
    assert (done.returncode, done.stderr) == (0, "")


def test_a_removed_folder_is_one_line_and_exit_code_2(tmp_path):
    gone = tmp_path / "gone"
    gone.mkdir()
    done = shell(f"cd {gone} && rmdir {gone} && feedbench bench photos")
    assert done.returncode == 2
    assert done.stderr == "feedbench: the current folder was removed; change to another one\n"


@pytest.mark.parametrize("name", ["x.foo", "x.jsonl"])
def test_a_picture_of_an_unknown_kind_is_refused(name, tmp_path):
    done = shell(f"feedbench show {PUBLISHED} --timeline {tmp_path / name}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"feedbench: {tmp_path / name}: no picture format")
    assert not list(tmp_path.iterdir())
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("form", ["", " --wide", " --markdown", " --csv"])
def test_a_reader_that_takes_one_line_is_no_error_in_any_form(form):
    done = shell(f"set -o pipefail; feedbench show {PUBLISHED}{form} | head -1")
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 1


def test_a_reader_that_is_gone_ends_a_command_like_any_other_program():
    done = shell(f"set -o pipefail; feedbench show {PUBLISHED} | true", PYTHONUNBUFFERED="1")
    assert (done.returncode, done.stderr) == (141, "")  # 128 + SIGPIPE
