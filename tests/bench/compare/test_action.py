"""The action's file is valid, and its steps run with the inputs that GitHub would give them."""

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from textwrap import dedent

import pytest

yaml = pytest.importorskip("yaml")  # one of the dev packages

ROOT = Path(__file__).parents[3]
ACTION = yaml.safe_load((ROOT / "action.yml").read_text())
INPUTS, STEPS = ACTION["inputs"], ACTION["runs"]["steps"]
OPTIONS = (
    "--consumer drain --batch-size 8 --image-size 32\n--blocks 3 --block-seconds 0.05 "
    "--warm-up-seconds 0"
)
PIPELINE = """
    import numpy as np

    def make(batch_size, image_size):
        images = np.zeros((batch_size, image_size, image_size, 3), np.float32)
        while True:
            yield images, np.zeros(batch_size, np.int32)
    """
# What GitHub's runner knows. Source: src/Runner.Worker/action_yaml.json of actions/runner, and the
# metadata syntax reference of GitHub's documentation.
KEYS = {"name", "author", "description", "branding", "inputs", "outputs", "runs"}
KEYS_OF_AN_INPUT = {"description", "required", "default", "deprecationMessage"}
KEYS_OF_A_STEP = {"name", "id", "if", "run", "env", "shell", "working-directory"}
CONTEXTS = {"github", "inputs", "strategy", "matrix", "steps", "job", "runner", "env"}
ID = re.compile("[_a-zA-Z][a-zA-Z0-9_-]*")
EXPRESSION = re.compile(r"\$\{\{ (.+?) \}\}")


def value(expression: str, inputs: dict[str, str], outputs: dict[str, dict[str, str]]) -> str:
    """Evaluate the expressions that the action uses: values, joined by ||."""
    for one in expression.split(" || "):
        context, name, *rest = one.split(".")
        found = inputs[name] if context == "inputs" else outputs.get(name, {}).get(rest[-1], "")
        if found:
            return found
    return ""


def is_true(condition: str, inputs: dict[str, str]) -> bool:
    """Evaluate the conditions that the action uses, as long as no step has failed."""
    if condition in ("success()", "always()"):
        return True
    expression, wanted = re.fullmatch(r"(\S+) == '(.*)'", condition).groups()
    return value(expression, inputs, {}) == wanted


def test_the_file_has_only_what_the_runner_of_github_knows():
    assert ACTION.keys() <= KEYS
    for name, about in INPUTS.items():
        assert ID.fullmatch(name)
        assert about.keys() <= KEYS_OF_AN_INPUT
        assert isinstance(about.get("default", ""), str)
    assert all(output.keys() == {"description", "value"} for output in ACTION["outputs"].values())
    assert ACTION["runs"].keys() == {"using", "steps"}
    assert ACTION["runs"]["using"] == "composite"
    for step in STEPS:
        assert {"run", "shell"} <= step.keys() <= KEYS_OF_A_STEP
        assert all(isinstance(text, str) for text in step.get("env", {}).values())
    for expression in EXPRESSION.findall((ROOT / "action.yml").read_text()):
        assert {one.split(".")[0] for one in expression.split(" || ")} <= CONTEXTS


def test_every_input_is_described_and_used():
    text = (ROOT / "action.yml").read_text()
    for name, about in INPUTS.items():
        assert about["description"]
        assert about.get("required") or "default" in about
        assert f"inputs.{name}" in text


def test_no_input_is_part_of_a_script():
    """Whoever opens a pull request could run code by its name."""
    for step in STEPS:
        assert step["shell"] == "bash"
        assert "${{" not in step["run"]


def test_the_documented_inputs_are_those_of_the_action():
    page = (ROOT / "docs" / "ci.md").read_text()
    for name, about in INPUTS.items():
        assert f"| `{name}` |" in page
        if default := about.get("default"):
            assert str(default) in page


@dataclass
class Job:
    """A job in a repository with two versions of a pipeline, whose steps run as on GitHub.

    Attributes:
        folder: of the job, with the checkout in `work`.
        ended: exit code of each step of the last run; None of one that was skipped.
    """

    folder: Path
    environment: dict[str, str]
    ended: dict[str, int | None] = field(default_factory=dict)

    def run(self, **given: str) -> int:
        """Run all steps of the action and return the exit code of the first that fails."""
        inputs = {name: about.get("default", "") for name, about in INPUTS.items()}
        inputs |= {"data": "a b", "loader": "pipeline.py:make", "base": "HEAD", "options": OPTIONS}
        inputs |= {"install": "false"} | given
        outputs: dict[str, dict[str, str]] = {}
        failed = 0
        self.ended = {}
        for step in STEPS:
            condition = step.get("if", "success()")
            runs = is_true(condition, inputs) and (not failed or condition == "always()")
            code = self._run(step, inputs, outputs) if runs else None
            self.ended[step["name"]] = code
            failed = failed or code or 0
        return failed

    def _run(self, step, inputs, outputs) -> int:
        saved = self.folder / "output"
        saved.write_text("")
        values = {
            key: EXPRESSION.sub(lambda found: value(found[1], inputs, outputs), text)
            for key, text in step.get("env", {}).items()
        }
        script = self.folder / "script.sh"
        script.write_text(step["run"])
        with (self.folder / "log").open("a") as log:
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", script],
                cwd=self.folder / "work",
                env=self.environment | {"GITHUB_OUTPUT": str(saved)} | values,
                stdout=log,
                check=False,
            )
        lines = saved.read_text().splitlines()
        outputs[step.get("id", step["name"])] = dict(line.split("=", 1) for line in lines)
        return done.returncode


@pytest.fixture
def job(tmp_path, tiny_photos):
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
    environment = {
        **os.environ,
        "PATH": f"{commands}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
        "RUNNER_TEMP": str(tmp_path),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
    }
    return Job(tmp_path, environment)


def test_the_steps_measure_both_versions_and_write_the_summary(job):
    assert job.run(**{"fail-if-slower": "99%"}) == 0
    assert job.ended.pop("Install Feedbench") is None
    assert set(job.ended.values()) == {0}
    (old,) = job.folder.glob("feedbench-old-*")
    assert (old / "pipeline.py").is_file()
    summary = (job.folder / "summary.md").read_text()
    assert "pipeline.py:make" in summary
    assert "over blocks of the same rounds" in summary
    assert "--fail-if-slower 99%: passed" in summary
    # Once more in the same job, such as for a second loader.
    assert job.run(**{"fail-if-slower": "99%"}, out="second") == 0


def test_another_old_version_is_measured_without_a_checkout(job):
    assert job.run(**{"fail-if-slower": "99%"}, against="turbo") == 0
    assert job.ended["Check out the old version"] is None
    assert "turbo" in (job.folder / "summary.md").read_text()


def test_the_steps_fail_as_the_command_does_and_write_no_summary(job):
    assert job.run(against="tf_dat") == 2
    assert job.ended["Write the job summary"] == 0
    assert not (job.folder / "summary.md").exists()


def test_a_base_that_was_not_fetched_is_one_line_that_says_what_to_do(job):
    assert job.run(base="origin/main") == 2
    (line,) = (job.folder / "log").read_text().splitlines()
    assert line.startswith("::error::There is no revision origin/main")
    assert "fetch-depth: 0" in line
    assert job.ended["Measure"] is None


def test_a_file_that_the_base_does_not_have_is_one_line_that_says_what_to_do(job):
    assert job.run(loader="new.py:make") == 2
    (line,) = (job.folder / "log").read_text().splitlines()
    assert line.startswith("::error::HEAD has no file new.py. Name what to compare with")
    assert job.ended["Measure"] is None


def test_without_a_limit_the_comparison_is_only_reported(job):
    assert job.run(**{"fail-if-slower": ""}) == 0
    summary = (job.folder / "summary.md").read_text()
    assert "over blocks of the same rounds" in summary
    assert "--fail-if-slower" not in summary


def test_the_documented_outputs_are_those_of_the_action():
    page = (ROOT / "docs" / "ci.md").read_text()
    assert [name for name in ACTION["outputs"] if f"output `{name}`" not in page] == []
