"""Interrupted at any stage, diagnose, train and tune keep what they have; nothing runs on."""

import os
import re
import signal
import subprocess
import sys
import time
import uuid
from pathlib import Path
from types import SimpleNamespace

import preloaded
import pytest
from short_network import NAME, OFFER

from feedbench.bench.html.kinds import report_at
from feedbench.bench.results.find import find_record, read_result
from feedbench.bench.results.parts import parts_of

# The first call of a function waits until `go` is there, so the signal comes at a known moment.
PROGRAM = """
import functools, importlib, pathlib, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
module, _, name = sys.argv.pop(1).partition(":")
module = importlib.import_module(module)
function, calls = getattr(module, name), []

def halting(*args, **kwargs):
    calls.append(name)
    if len(calls) == 1:
        pathlib.Path("reached").touch()
        while not pathlib.Path("go").exists():
            time.sleep(0.01)
    return function(*args, **kwargs)

setattr(module, name, halting)
from feedbench.bench.cli import main
from feedbench.bench.commands import tune
from feedbench.bench.diagnose import selftest, setup
short = {"block_seconds": 0.1, "block_steps": 5, "warm_up_seconds": 0.1}
tune._TIMING = tune._TIMING.model_copy(update=short)
selftest._BLOCK_S = 0.05
setup.DiagnosisTiming = functools.partial(
    setup.DiagnosisTiming, stage_s=0.05, block_s=0.1, end_to_end_s=0.1, warm_up_s=0.1
)
main()
"""
SMALL = ["--loader", "turbo", "--batch-size", "8", "--image-size", "32", "--no-tensorboard"]
DIAGNOSE = ["diagnose", "photos", *SMALL, "--consumer", "emulated:rtx3090", "--seconds", "1"]
TRAIN = ["train", "photos", *SMALL, "--recipe", "recipe.toml"]
TUNE = ["tune", "photos", *SMALL[:-1], "--consumer", "drain", "--budget", "60s"]
RECIPE = f'network = "{NAME}"\nalpha = 0.25\nepochs = 1\n'


@pytest.fixture
def interrupted(tiny_photos, tmp_path, monkeypatch):
    """A function: run a command, send a signal at a stage, and return what it left."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").symlink_to(tiny_photos)
    (tmp_path / "recipe.toml").write_text(RECIPE)
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    mark = uuid.uuid4().hex

    def run(stage: str, number: signal.Signals, command: list[str]) -> SimpleNamespace:
        with subprocess.Popen(
            [sys.executable, "-c", OFFER + PROGRAM, stage, *command, "--out", "out"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "TMPDIR": str(temporary), "MARK": mark, "COLUMNS": "200"},
        ) as process:
            while not (tmp_path / "reached").exists():
                assert process.poll() is None, process.communicate()
                time.sleep(0.01)
            process.send_signal(number)
            (tmp_path / "go").touch()
            printed, errors = process.communicate()
        assert "Traceback" not in printed + errors
        assert marked_processes(mark) == []
        # TensorFlow removes the modules that it writes there, but not their bytecode.
        assert [path.name for path in temporary.iterdir() if path.name != "__pycache__"] == []
        return SimpleNamespace(code=process.returncode, printed=printed, errors=errors)

    return run


def marked_processes(mark: str) -> list[str]:
    """The processes that have inherited the mark, but for zygotes, which end by themselves."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text().strip() == preloaded.NAME:
                continue
            if f"MARK={mark}".encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text())
        except OSError:
            continue
    return found


def shown_and_reported() -> str:
    """What `show` prints of the result; it must also have a report."""
    result = read_result(Path("out"))
    assert report_at(Path("out")).sections
    return "\n".join(getattr(part, "text", "") for part in parts_of(result))


@pytest.mark.parametrize(
    ("stage", "number", "code"),
    [
        ("feedbench.bench.diagnose.selftest:_check_count", signal.SIGINT, 130),
        ("feedbench.bench.diagnose.measure:stages_of", signal.SIGTERM, 143),
    ],
    ids=["self-test", "before the record"],
)
def test_a_diagnosis_that_has_measured_nothing_leaves_no_folder(interrupted, stage, number, code):
    done = interrupted(stage, number, DIAGNOSE)
    assert done.code == code
    assert done.errors.splitlines()[-1] == "feedbench: interrupted"
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("stage", "number", "code", "said"),
    [
        ("feedbench.bench.diagnose.room:tree_memory", signal.SIGHUP, 129, "No verdict: the"),
        ("feedbench.bench.diagnose.measure:write_model", signal.SIGTERM, 143, "Incomplete: the"),
        # The rounds are too short for a certain verdict; whatever it is, it names what is lost.
        (
            "feedbench.bench.commands.run_diagnosis:save_diagnosis",
            signal.SIGINT,
            130,
            "(idles|loses)( only)? [0-9]",
        ),
    ],
    ids=["start", "round", "saving"],
)
def test_an_interrupted_diagnosis_is_shown_and_reported(interrupted, stage, number, code, said):
    done = interrupted(stage, number, DIAGNOSE)
    assert done.code == code
    assert done.errors.splitlines()[-1] == (
        "feedbench: interrupted; what was measured is in out; a new run starts from the beginning; "
        "to see this one again: feedbench show out"
    )
    assert re.search(said, shown_and_reported())


def test_a_training_whose_terminal_closes_while_it_is_tested_can_be_resumed(interrupted):
    done = interrupted("feedbench.bench.training.results:evaluate_test_split", signal.SIGHUP, TRAIN)
    assert done.code == 0
    resume = "feedbench train photos --resume out"
    assert done.printed.endswith(f"Stopped; a checkpoint is saved. To resume: {resume}\n")
    assert "Not finished: complete epochs: 1 of 1." in shown_and_reported()
    assert find_record(Path("out"))[0].name == "loader.toml"


def test_a_training_that_is_interrupted_while_it_is_saved_can_be_resumed(interrupted):
    done = interrupted("feedbench.bench.training.results:model_card", signal.SIGINT, TRAIN)
    assert done.code == 130
    assert done.errors.splitlines()[-1] == (
        "feedbench: interrupted; to resume from the last checkpoint: feedbench train photos "
        "--resume out"
    )
    assert "Not finished: complete epochs: 1 of 1." in shown_and_reported()


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ("feedbench.bench.trials.timer:tree_usage", "interrupted before a block was timed"),
        (
            "feedbench.bench.tune.tune:choice_of",
            "interrupted before configurations could be compared",
        ),
    ],
    ids=["before the first block", "before a second one"],
)
def test_an_interrupted_search_is_shown_and_reported(interrupted, stage, said):
    done = interrupted(stage, signal.SIGINT, TUNE)
    assert done.code == 130
    assert "to resume: feedbench tune --resume out photos" in done.errors.splitlines()[-1]
    assert "--resume" not in done.printed
    assert said in shown_and_reported()
