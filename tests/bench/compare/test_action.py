"""The action's file is valid, and its steps run with the inputs that GitHub would give them."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

yaml = pytest.importorskip("yaml")  # one of the dev packages

ROOT = Path(__file__).parents[3]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
STEPS = {step["name"]: step for step in ACTION["runs"]["steps"]}
OPTIONS = (
    "--consumer drain --batch-size 8 --image-size 32 --blocks 3 --block-seconds 0.05 "
    "--warm-up-seconds 0"
)
PIPELINE = """
    import numpy as np

    def make(batch_size, image_size):
        images = np.zeros((batch_size, image_size, image_size, 3), np.float32)
        while True:
            yield images, np.zeros(batch_size, np.int32)
    """


def substituted(text: str, inputs: dict[str, str]) -> str:
    """Return a value with the inputs in place of their expressions."""
    return re.sub(r"\$\{\{ inputs\.([\w-]+) \}\}", lambda found: inputs[found[1]], text)


def test_every_input_is_described_and_used():
    text = (ROOT / "action.yml").read_text()
    for name, about in ACTION["inputs"].items():
        assert about["description"]
        assert about.get("required") or "default" in about
        assert f"inputs.{name}" in text


def test_no_input_is_part_of_a_script():
    """Whoever opens a pull request could run code by its name."""
    for step in STEPS.values():
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]


def test_the_documented_inputs_are_those_of_the_action():
    page = (ROOT / "docs" / "ci.md").read_text()
    for name, about in ACTION["inputs"].items():
        assert f"| `{name}` |" in page
        if default := about.get("default"):
            assert str(default) in page


@pytest.fixture
def job(tmp_path, tiny_photos, monkeypatch):
    """Return a function that runs a step in a repository with two versions of a pipeline."""
    work, commands = tmp_path / "work", tmp_path / "bin"
    work.mkdir()
    commands.mkdir()
    command = commands / "feedbench"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m feedbench.bench.cli "$@"\n')
    command.chmod(0o755)
    shutil.copytree(tiny_photos, work / "a b")
    (work / "pipeline.py").write_text(dedent(PIPELINE))
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "old"]):
        subprocess.run(["git", *arguments], cwd=work, check=True)
    inputs = {name: str(about.get("default", "")) for name, about in ACTION["inputs"].items()}
    inputs |= {"data": "a b", "loader": "pipeline.py:make", "base": "HEAD", "options": OPTIONS}
    environment = {
        **os.environ,
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }

    def run(name: str, **given: str) -> int:
        step, values = STEPS[name], inputs | given
        wanted = {key: substituted(text, values) for key, text in step["env"].items()}
        command = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]]
        return subprocess.run(command, cwd=work, env=environment | wanted, check=False).returncode

    return run


def test_the_steps_measure_both_versions_and_write_the_summary(job, tmp_path):
    assert job("Check out the old version") == 0
    assert (tmp_path / "feedbench-base" / "pipeline.py").is_file()
    assert job("Measure", **{"fail-if-slower": "99%"}) == 0
    assert job("Write the job summary") == 0
    summary = (tmp_path / "summary.md").read_text()
    assert "pipeline.py:make" in summary
    assert "over blocks of the same rounds" in summary
    assert "--fail-if-slower 99%: passed" in summary


def test_the_steps_fail_as_the_command_does(job, tmp_path):
    assert job("Measure", against="tf_dat") == 2
    assert job("Write the job summary") == 0
    assert not (tmp_path / "summary.md").exists()
