"""A bench that is interrupted or killed keeps every block that was timed."""

import signal
import subprocess
import sys
import time

import pytest

from feedbench.bench.errors import INTERRUPTED, RecordError
from feedbench.bench.record import read_trials

# The default dispositions, whatever these tests inherited.
BENCH = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from feedbench.bench.cli import main
main()
"""
OPTIONS = (
    "--loader turbo --consumer drain --blocks 1000 --block-seconds 0.1 --warm-up-seconds 0.1 "
    "--batch-size 8 --image-size 16"
)


@pytest.fixture
def bench(tiny_photos, tmp_path):
    """A running bench, in whose folder two blocks are recorded already."""
    command = [sys.executable, "-c", BENCH, "bench", str(tiny_photos), *OPTIONS.split()]
    with subprocess.Popen(
        [*command, "--out", str(tmp_path / "out")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            while timed_blocks(tmp_path / "out") < 2:
                assert running.poll() is None, running.communicate()
                time.sleep(0.05)
            yield running
        finally:
            running.kill()


def timed_blocks(folder) -> int:
    try:
        return sum(len(trial.blocks) for trial in read_trials(folder))
    except RecordError:
        return 0


@pytest.mark.parametrize(
    "numbers",
    [[signal.SIGTERM], [signal.SIGHUP], [signal.SIGINT, signal.SIGINT]],
    ids=["SIGTERM", "SIGHUP", "Ctrl-C twice"],
)
def test_an_interrupted_bench_keeps_its_blocks_and_its_winner(bench, tmp_path, numbers):
    for number in numbers:
        bench.send_signal(number)
        time.sleep(0.1)
    _, errors = bench.communicate()
    out = tmp_path / "out"
    assert errors.splitlines()[-1].startswith("feedbench: interrupted")
    if len(numbers) == 1:
        assert f"timed blocks: {timed_blocks(out)}, saved in {out}\n" in errors
    assert bench.returncode == INTERRUPTED
    assert timed_blocks(out) >= 2
    assert (out / "best.toml").exists()


def test_a_killed_bench_keeps_its_blocks(bench, tmp_path):
    bench.kill()
    bench.communicate()
    assert timed_blocks(tmp_path / "out") >= 2
