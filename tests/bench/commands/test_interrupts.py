"""A bench that is interrupted or killed keeps every block that was timed, and else nothing."""

import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil
import pytest

from feedbench.bench.errors import RecordError
from feedbench.bench.trials_file import read_trials

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
    "--consumer drain --blocks 1000 --no-early-stopping --block-seconds 0.1 --warm-up-seconds 0.1 "
    "--batch-size 8 --image-size 16"
)


@contextmanager
def started(photos, out, *loaders):
    """A running bench of these loaders."""
    command = [sys.executable, "-c", BENCH, "bench", str(photos), *OPTIONS.split()]
    chosen = [word for loader in loaders for word in ("--loader", loader)]
    with subprocess.Popen(
        [*command, *chosen, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


@pytest.fixture
def bench(tiny_photos, tmp_path):
    """A running bench, in whose folder two blocks are recorded already."""
    with started(tiny_photos, tmp_path / "out", "turbo") as running:
        wait_for_blocks(running, tmp_path / "out", 2)
        yield running


def timed_blocks(folder) -> int:
    try:
        return sum(len(trial.blocks) for trial in read_trials(folder))
    except RecordError:
        return 0


@pytest.mark.parametrize(
    ("numbers", "code"),
    [
        ([signal.SIGTERM], 143),
        ([signal.SIGHUP], 129),
        ([signal.SIGINT, signal.SIGINT], 130),
    ],
    ids=["SIGTERM", "SIGHUP", "Ctrl-C twice"],
)
def test_an_interrupted_bench_keeps_its_blocks_and_its_winner(bench, tmp_path, numbers, code):
    for number in numbers:
        bench.send_signal(number)
        time.sleep(0.1)
    printed, errors = bench.communicate()
    out = tmp_path / "out"
    # A second Ctrl-C that comes while Python ends may add an exception that it ignores.
    assert "\nfeedbench: interrupted" in f"\n{errors}"
    if len(numbers) == 1:
        hint = f"a new run starts from the beginning; to see this one again: feedbench show {out}"
        assert errors.splitlines()[-1].endswith(
            f"timed blocks: {timed_blocks(out)}, saved in {out}, with the best so far in "
            f"best.toml; {hint}"
        )
        assert "Records: " not in printed
    # Or it ends the process by the signal: 130 in a shell, too.
    assert bench.returncode in ([code] if len(numbers) == 1 else [code, -signal.SIGINT])
    assert timed_blocks(out) >= 2
    assert (out / "best.toml").exists()


def test_a_killed_bench_keeps_its_blocks(bench, tmp_path):
    bench.kill()
    bench.communicate()
    assert timed_blocks(tmp_path / "out") >= 2


def test_a_bench_that_is_interrupted_before_its_first_block_says_so(tiny_photos, tmp_path):
    out = tmp_path / "out"
    with started(tiny_photos, out, "turbo", "keras_pil") as running:
        for line in running.stderr:
            if line == "comparing pixels\n":
                break
        running.send_signal(signal.SIGINT)
        printed, errors = running.communicate()
    assert running.returncode == 130
    assert errors == (
        f"feedbench: interrupted; timed blocks: 0, saved in {out}; a new run starts from the "
        f"beginning; to see this one again: feedbench show {out}\n"
    )
    assert "No loader can be recommended: no block was timed." in printed
    assert [trial.loader for trial in read_trials(out)] == ["turbo", "keras_pil"]


def wait_for_blocks(bench, folder, count):
    while timed_blocks(folder) < count:
        assert bench.poll() is None, bench.communicate()
        time.sleep(0.05)


def stop(bench):
    """Stop a bench as Ctrl-Z does, and wait until it stands still."""
    bench.send_signal(signal.SIGSTOP)
    while psutil.Process(bench.pid).status() != psutil.STATUS_STOPPED:
        time.sleep(0.01)


def test_a_bench_that_was_stopped_for_a_while_goes_on(bench, tmp_path):
    stop(bench)
    time.sleep(0.3)
    known = timed_blocks(tmp_path / "out")
    bench.send_signal(signal.SIGCONT)
    wait_for_blocks(bench, tmp_path / "out", known + 2)
    (trial,) = read_trials(tmp_path / "out")
    assert trial.error is None


def test_a_bench_whose_folder_is_gone_ends_with_one_line(bench, tmp_path):
    stop(bench)
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    (tmp_path / "out").write_text("a file in its place, or a log would make the folder again")
    bench.send_signal(signal.SIGCONT)
    _, errors = bench.communicate()
    assert bench.returncode == 2
    assert "Traceback" not in errors
    assert errors.splitlines()[-1].startswith(f"feedbench: {tmp_path / 'out'}")
