"""A diagnosis that says not to trust it ends with the exit code of one without a verdict."""

from pathlib import Path

import pytest
import typer

from feedbench.bench.commands import run_diagnosis as command
from feedbench.bench.diagnose import selftest
from feedbench.bench.diagnose.checks import Check, SelfTest
from feedbench.bench.diagnose.record import RECORD, read_diagnosis
from feedbench.bench.errors import NOTHING_DONE

PUBLISHED = Path(__file__).parents[3] / "results" / "diagnose-clothing" / RECORD


@pytest.fixture
def diagnosed(tmp_path, monkeypatch):
    """A function: diagnose, with a published record as what was measured."""
    record = read_diagnosis(PUBLISHED)
    monkeypatch.setattr(command, "_measure", lambda *_: (record, None))

    def run(*, passed):
        check = Check(name="a delay", expected="20 ms", measured="30 ms", passed=passed)
        monkeypatch.setattr(selftest, "short_test", lambda: SelfTest(checks=[check]))
        command.run_diagnosis(None, None, tmp_path, None, None, tensorboard=False)

    return run


def test_a_failed_self_test_is_an_exit_code(diagnosed, capsys):
    with pytest.raises(typer.Exit) as ended:
        diagnosed(passed=False)
    assert ended.value.exit_code == NOTHING_DONE
    said = capsys.readouterr().out
    assert "Do not trust this diagnosis: self-test failed: a delay: 30 ms instead of 20 ms" in said


def test_a_diagnosis_with_a_verdict_to_trust_is_done(diagnosed, capsys):
    diagnosed(passed=True)
    assert "The bottleneck is decoding" in capsys.readouterr().out
