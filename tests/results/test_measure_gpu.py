"""The script that measures a GPU machine keeps what it has, whatever step fails or hangs."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "results" / "gpu" / "measure.sh"
# The command, with steps that fail; a bench leaves a winner.
FEEDBENCH = """#!/bin/sh
echo "$@" >> "$CALLS"
case " $FAILING " in *" $1 "*) echo "what is wrong | with $1" >&2; exit 3;; esac
case " $HANGING " in *" $1 "*) exec sleep 60;; esac
while [ $# -gt 1 ] && [ "$1" != --out ]; do shift; done
[ $# = 1 ] || mkdir -p "$2"
[ $# = 1 ] || touch "$2/best.toml"
"""
# Says the device when it is asked, and else is Python.
PYTHON = """#!/bin/sh
[ "$1" != - ] || { cat > /dev/null; $ASKED; exit $?; }
exec {python} "$@"
"""


@pytest.fixture
def measure(tmp_path):
    """Runs the script with commands that only note what they are asked for."""
    for name, text in (("feedbench", FEEDBENCH), ("python", PYTHON)):
        (tmp_path / name).write_text(text.replace("{python}", sys.executable))
        (tmp_path / name).chmod(0o755)
    (tmp_path / "photos").mkdir()

    def run(photos="photos", asked="echo NVIDIA Made-up 1", **variables):
        variables = {"FAILING": "", "HANGING": "", "REHEARSAL": "1", "ASKED": asked, **variables}
        done = subprocess.run(
            ["bash", SCRIPT, tmp_path / photos, tmp_path / "out"],
            capture_output=True,
            text=True,
            check=False,
            env={
                **os.environ,
                "CALLS": str(tmp_path / "calls"),
                "FEEDBENCH": str(tmp_path / "feedbench"),
                "PYTHON": str(tmp_path / "python"),
                **variables,
            },
        )
        page, calls = tmp_path / "out" / "README.md", tmp_path / "calls"
        texts = [path.read_text() if path.exists() else "" for path in (page, calls)]
        return done, *texts

    return run


def test_all_steps_are_done_and_the_winner_is_diagnosed_and_trained(measure):
    done, page, calls = measure()
    assert done.returncode == 0, done.stderr
    for step in ("selftest", "pack", "bench-fp32", "emulated-mixed", "diagnosis", "training"):
        assert f"| {step} |" in page
    assert "exit code" not in page
    assert "bench-fp32/record/best.toml" in calls.splitlines()[-1]


def test_what_fails_is_named_and_the_others_are_measured(measure):
    done, page, calls = measure(FAILING="pack calibrate")
    assert done.returncode == 1
    assert "failed: pack calibrate-fp32 calibrate-mixed; " in done.stderr
    assert "**exit code 3**: what is wrong / with calibrate" in page
    benches = [call for call in calls.splitlines() if call.startswith("bench")]
    assert len(benches) == 2  # none is emulated without the rate
    assert not any("packed" in call for call in benches)
    assert "| training |" in page


def test_without_a_winner_turbo_is_diagnosed(measure):
    _, page, calls = measure(FAILING="bench")
    assert "--loader turbo --recipe" in calls.splitlines()[-1]
    assert page.count("No figures: the bench has not come to its end.") == 2


def test_a_step_that_hangs_is_stopped(measure):
    done, page, _ = measure(HANGING="selftest", STEP_LIMIT="1")
    assert done.returncode == 1
    assert "| selftest |" in page
    assert "**stopped: it took too long**" in page
    assert "| training |" in page


def test_the_page_says_which_step_was_not_finished_when_the_machine_was_lost(measure, tmp_path):
    kill = tmp_path / "feedbench"
    ending = '[ "$1" != diagnose ] || kill -KILL $(cut -d" " -f4 /proc/$PPID/stat)'
    kill.write_text(FEEDBENCH.replace("case", f"{ending}\ncase", 1))
    done, page, _ = measure()
    assert done.returncode == -9
    assert "| diagnosis |  | **not finished** |" in page
    assert "| bench-mixed |" in page


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"photos": "none"}, "is no folder; name one with one folder of photographs per class"),
        ({"asked": "false"}, "cannot say on which device it trains"),
        ({"asked": "echo CPU", "REHEARSAL": ""}, "TensorFlow finds no GPU; install"),
        ({"FEEDBENCH": "no-such-command"}, "there is no command no-such-command; set FEEDBENCH"),
    ],
)
def test_what_it_cannot_start_with_is_one_line(measure, given, said):
    done, page, calls = measure(**given)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert page == calls == ""
