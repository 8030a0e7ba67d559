"""Ctrl-C in the first moments, while a command is imported, ends it without a traceback."""

import os
import signal
import subprocess
import sys
import time

import pytest

PROGRAM = "from feedbench.bench.start import main; main()"
WAITS = """
import pathlib, time
pathlib.Path("reached").touch()
time.sleep(600)
"""


def start(folder, module, *before):
    """A command that stands still as it imports a module; Ctrl-C is not ignored."""
    (folder / f"{module}.py").write_text(WAITS)
    running = subprocess.Popen(
        [*before, sys.executable, "-c", PROGRAM, "bench", "photos"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), *sys.path])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (folder / "reached").exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.01)
    return running


@pytest.mark.spawned
@pytest.mark.parametrize("module", ["typer", "numpy"])  # of all commands, and of this one
def test_ctrl_c_while_a_command_is_imported_ends_it_silently(tmp_path, module):
    running = start(tmp_path, module)
    running.send_signal(signal.SIGINT)
    assert running.communicate() == ("", "")
    assert running.returncode == -signal.SIGINT


@pytest.mark.spawned
def test_ctrl_c_that_is_ignored_as_in_the_background_stays_ignored(tmp_path):
    running = start(tmp_path, "typer", "sh", "-c", "trap '' INT; exec \"$@\"", "sh")
    running.send_signal(signal.SIGINT)
    time.sleep(0.1)
    assert running.poll() is None
    running.kill()
    assert running.communicate() == ("", "")


@pytest.mark.spawned
def test_the_package_can_be_run_as_the_command():
    done = subprocess.run(
        [sys.executable, "-m", "feedbench", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("feedbench ")
