"""Known delays are measured, and each injected bottleneck is named, in a process of its own."""

import json
import subprocess
import sys

import pytest

from feedbench.bench.diagnose.selftest import INJECTED, Check, SelfTest, injected_test


@pytest.mark.alone
def test_the_short_form_passes_and_is_what_the_command_writes(tmp_path):
    path = tmp_path / "found.json"
    command = [
        sys.executable,
        "-m",
        "feedbench.bench.cli",
        "selftest",
        "--short",
        "--json",
        str(path),
    ]
    subprocess.run(command, check=True)
    checks = json.loads(path.read_text())["checks"]
    assert [check["name"] for check in checks if check["passed"]] == [
        "a loader that costs nothing",
        "a loader of known delay",
        "a consumer of known delay",
        "the number of images",
    ]


def test_one_check_that_fails_fails_the_test():
    wrong = Check(name="a", expected="1", measured="2", passed=False)
    right = wrong.model_copy(update={"passed": True})
    assert SelfTest(checks=[right]).passed
    assert not SelfTest(checks=[right, wrong]).passed


@pytest.mark.alone
@pytest.mark.parametrize("one", INJECTED, ids=lambda one: one.name)
def test_an_injected_bottleneck_is_named(one, tmp_path):
    said = []
    found = injected_test(one, tmp_path, said.append)
    assert found.measured == one.expected, said
