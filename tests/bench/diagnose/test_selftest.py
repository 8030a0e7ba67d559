"""Known delays are measured, and each injected bottleneck is named, in processes as in a run."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from feedbench.bench.consumers import emulated
from feedbench.bench.diagnose import selftest
from feedbench.bench.diagnose.checks import Check, SelfTest
from feedbench.bench.diagnose.selftest import INJECTED_BOTTLENECKS, TIMING, injected_test
from feedbench.bench.trials import block

NAMES = [
    "a loader without a delay",
    "a loader with a known delay",
    "a consumer with a known delay",
    "the number of images",
]
# Of a batch that is delayed by 32 ms, ten tell as much as thirty.
SHORT = replace(TIMING, stage_s=0.1, block_s=0.3, end_to_end_s=0.6, warm_up_s=0.1)


def test_the_short_self_test_is_written_as_json_and_fails_if_a_check_does(tmp_path):
    path = tmp_path / "selftest.json"
    command = [sys.executable, "-m", "feedbench.bench.cli", "selftest", "--short"]
    done = subprocess.run([*command, "--json", str(path)], check=False)
    checks = json.loads(path.read_text())["checks"]
    assert [check["name"] for check in checks] == NAMES
    # Whether the delays are kept depends on what else the machine does.
    assert done.returncode == (not all(check["passed"] for check in checks))
    assert checks[-1]["passed"]


class Clock:
    """Time that passes only by sleeping, and a little with each reading.

    Attributes:
        late_s: how much longer than asked for each sleep takes.
    """

    def __init__(self) -> None:
        self.now, self.late_s = 0.0, 0.0

    def read(self) -> float:
        self.now += 1e-6
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds + self.late_s


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    for module in (selftest, emulated, block):
        monkeypatch.setattr(module, "perf_counter", clock.read)
    monkeypatch.setattr(emulated, "sleep", clock.sleep)
    return clock


def test_on_an_ideal_machine_the_short_self_test_passes(clock):
    checks = selftest.short_test().checks
    assert [check.name for check in checks if check.passed] == NAMES
    assert [check.measured for check in checks[:3]] == ["100.00%", "20.00 ms", "20.00 ms"]


def test_sleeps_that_take_too_long_fail_the_short_self_test(clock):
    clock.late_s = 0.005
    failed = [check.name for check in selftest.short_test().checks if not check.passed]
    assert "a loader with a known delay" in failed


def test_one_failed_check_fails_the_self_test():
    failed = Check(name="a", expected="1", measured="2", passed=False)
    passed = failed.model_copy(update={"passed": True})
    assert SelfTest(checks=[passed]).passed
    assert not SelfTest(checks=[passed, failed]).passed


@pytest.mark.alone
@pytest.mark.parametrize("injected", INJECTED_BOTTLENECKS, ids=lambda injected: injected.name)
def test_an_injected_bottleneck_is_named(injected, tmp_path, monkeypatch):
    monkeypatch.setattr("feedbench.bench.diagnose.selftest.TIMING", SHORT)
    progress = []
    check = injected_test(injected, tmp_path, progress.append)
    assert check.measured == injected.expected, progress
