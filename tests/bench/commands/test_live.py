"""A real bench on a terminal draws in place, and leaves its table there once."""

import os
import signal
import subprocess
import sys

import pytest

from feedbench.bench.trials_file import read_trials

OPTIONS = (
    "--consumer drain --block-seconds 0.2 --warm-up-seconds 0.1 --batch-size 8 --image-size 16"
)


@pytest.fixture
def start(tiny_photos, tmp_path):
    """A function: start a bench of one loader on a terminal."""
    running = []

    def started(terminal, blocks: int) -> subprocess.Popen:
        command = [sys.executable, "-m", "feedbench.bench.cli", "bench", str(tiny_photos)]
        command += ["--loader", "turbo", *OPTIONS.split(), "--blocks", str(blocks)]
        process = subprocess.Popen(
            [*command, "--out", str(tmp_path / "out")], stdout=terminal.file, stderr=terminal.file
        )
        running.append(process)
        return process

    yield started
    for process in running:
        process.kill()
        process.wait()


def text_of(screen) -> str:
    return "\n".join([*screen.scrolled, *screen.lines])


def test_only_the_result_is_left(start, open_terminal):
    terminal = open_terminal(80, 24)
    process = start(terminal, blocks=3)
    assert process.wait(240) == 0
    terminal.close()
    assert "Ctrl-C ends the run" in terminal.output
    text = text_of(terminal.screen())
    assert text.count("Records: ") == 1
    assert "Ctrl-C" not in text
    assert "Round" not in text


def test_an_interrupted_bench_shows_its_blocks_once(start, open_terminal, tmp_path):
    terminal = open_terminal(80, 24)
    process = start(terminal, blocks=1000)
    screen = terminal.wait_for("fastest so far")  # by three blocks
    assert screen.scrolled == []
    os.kill(process.pid, signal.SIGINT)
    assert process.wait(240) == 130
    terminal.close()
    text = text_of(terminal.screen())
    assert "Ctrl-C" not in text
    assert f"timed blocks: {len(read_trials(tmp_path / 'out')[0].blocks)}, saved in" in text
