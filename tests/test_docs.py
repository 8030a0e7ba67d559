"""Every command in the documentation exists, with the options that it is given."""

import re
import shlex
from pathlib import Path

import pytest
import typer

from feedbench.bench.cli import COMMANDS, command_app

ROOT = Path(__file__).parents[1]
FOLDERS = ("docs/*.md", "examples/*.md", "results/**/README.md")
PAGES = sorted([ROOT / "README.md", *(page for folder in FOLDERS for page in ROOT.glob(folder))])
COMMAND = re.compile(r"feedbench ([a-z][a-z-]*)((?: [^\n`|;&>]*)?)")


def documented():
    """The page, command and options of each `feedbench …` in code."""
    for page in PAGES:
        text = page.read_text()
        blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
        blocks = [block.replace("\\\n", " ") for block in blocks]
        code = "\n".join([*blocks, *re.findall(r"`(feedbench [^`]*)`", text)])
        for name, rest in COMMAND.findall(code):
            options = [word for word in shlex.split(rest, comments=True) if word.startswith("-")]
            yield str(page.relative_to(ROOT)), name, options


@pytest.mark.parametrize(("page", "name", "options"), list(documented()), ids=str)
def test_a_documented_command_exists_with_its_options(page, name, options):
    assert name in COMMANDS
    parameters = typer.main.get_command(command_app(name)).params
    known = {"--help", "-h"}
    for parameter in parameters:
        known.update(parameter.opts, parameter.secondary_opts)
    assert [option for option in options if option.partition("=")[0] not in known] == []


def test_the_documentation_holds_commands():
    assert len(list(documented())) > 50


@pytest.mark.parametrize("page", sorted((ROOT / "results" / "beyond").glob("faults-*.md")), ids=str)
def test_every_fault_in_a_table_has_a_test(page):
    named = set(re.findall(r"\b(test_\w+)(?![\w.])", page.read_text()))
    tests = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert named
    assert [name for name in named if f"def {name}(" not in tests] == []


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text().split()) < 700


def test_every_folder_of_published_runs_has_a_line():
    page = (ROOT / "results" / "README.md").read_text()
    lines = re.findall(r"^- \[(.*)\]\(\1/\): ", page, re.MULTILINE)
    folders = (path.parent.name for path in (ROOT / "results").glob("*/README.md"))
    assert sorted(lines) == sorted(folders)
