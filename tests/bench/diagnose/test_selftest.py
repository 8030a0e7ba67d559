"""Known delays are measured, and each injected bottleneck is named, in processes as in a run."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

from feedbench.bench.diagnose.checks import Check, SelfTest
from feedbench.bench.diagnose.selftest import INJECTED_BOTTLENECKS, TIMING, injected_test

# Of a batch that is delayed by 32 ms, ten tell as much as thirty.
SHORT = replace(TIMING, stage_s=0.1, block_s=0.3, end_to_end_s=0.6, warm_up_s=0.1)


@pytest.mark.alone
def test_the_short_self_test_passes_and_is_written_as_json(tmp_path):
    path = tmp_path / "selftest.json"
    command = [sys.executable, "-m", "feedbench.bench.cli", "selftest", "--short"]
    subprocess.run([*command, "--json", str(path)], check=True)
    checks = json.loads(path.read_text())["checks"]
    assert [check["name"] for check in checks if check["passed"]] == [
        "a loader without a delay",
        "a loader with a known delay",
        "a consumer with a known delay",
        "the number of images",
    ]


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
