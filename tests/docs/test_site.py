"""The pages that the site generates hold what the code has, and links lead to the same files."""

import re
import sys
import tomllib
from importlib import import_module

import pytest
import typer
from pydantic import BaseModel

from feedbench.bench.cli import COMMANDS, command_app
from feedbench.bench.record import Gpu, Trial
from feedbench.loaders import LOADERS, BatchSpec
from feedbench.trainer import Recipe

from .blocks import ROOT

MODULES = ("links", "records", "reference", "tables")


@pytest.fixture
def site(monkeypatch):
    """Imports a module of .ci/site; their short names are forgotten afterwards."""
    monkeypatch.syspath_prepend(str(ROOT / ".ci" / "site"))
    yield import_module
    for name in MODULES:
        sys.modules.pop(name, None)


def test_every_command_is_listed_with_every_option(site):
    page = site("reference").commands_page()
    parts = dict(part.split("\n", 1) for part in page.split("\n### ")[1:])
    assert list(parts) == list(COMMANDS)
    for name, text in parts.items():
        for parameter in typer.main.get_command(command_app(name)).params:
            if parameter.param_type_name == "option":
                assert [opt for opt in parameter.opts if f"`{opt}`" not in text] == [], name


def test_options_have_their_limits_and_defaults(site):
    page = site("reference").commands_page()
    bench = page.partition("### bench")[2].partition("\n### ")[0]
    assert "| `--blocks` | `int ≥ 1` | `15` |" in bench
    assert "| `--flip`, `--no-flip` |  | `--flip` |" in bench


@pytest.mark.parametrize("model", [BatchSpec, Recipe, *(one.settings for one in LOADERS.values())])
def test_every_setting_is_listed(site, model: type[BaseModel]):
    page = site("reference").settings_page()
    assert [name for name in model.model_fields if f"| `{name}` |" not in page] == []


@pytest.mark.parametrize("model", [Trial, Gpu])
def test_every_field_of_a_record_is_listed_once(site, model):
    page = site("records").records_page()
    assert page.count(f"### {model.__name__}\n") == 1
    part = page.partition(f"### {model.__name__}\n")[2].partition("\n### ")[0]
    assert [name for name in model.model_fields if f"| `{name}` |" not in part] == []


def test_a_field_without_a_description_has_that_of_the_docstring(site):
    page = site("records").records_page()
    assert "| `interrupted` | bool | whether Ctrl-C, a kill or an error ended it. |" in page
    assert "of one that looked faster, only from the blocks that were to confirm it. |" in page


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        ("docs/a.md", "[x](b.md#c)", "[x](b.md#c)"),
        ("docs/a.md", "[x](../results/limits/)", "[x](results/limits/README.md)"),
        ("docs/a.md", "[x](../ARCHITECTURE.md)", "[x](ARCHITECTURE.md)"),
        ("CONTRIBUTING.md", "[x](docs/add-a-loader.md)", "[x](add-a-loader.md)"),
        ("results/limits/README.md", "[x](../../docs/diagnose.md)", "[x](../../diagnose.md)"),
        ("docs/a.md", "[`loaders/code/`](../loaders/code/)", "`loaders/code/`"),
        ("docs/a.md", "[x](https://example.org)", "[x](https://example.org)"),
        ("docs/a.md", "[x](#here)", "[x](#here)"),
        ("docs/a.md", "```\n[x](../ARCHITECTURE.md)\n```", "```\n[x](../ARCHITECTURE.md)\n```"),
    ],
)
def test_links_between_files_become_links_between_pages(site, path, text, expected):
    assert site("links").Links(path).on_site(text) == expected


def test_text_in_a_cell_is_text(site):
    assert site("tables").cell("a|b <c> `d`\n*e*") == "a\\|b &lt;c&gt; \\`d\\`<br>\\*e\\*"


def test_every_extra_is_listed_and_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    page = (ROOT / "docs" / "install.md").read_text()
    table = page.partition("| extra | for |\n")[2].partition("\n\n")[0]
    firsts = [line.split("|")[1] for line in table.splitlines()[1:]]
    listed = {name for first in firsts for name in re.findall(r"`(\w+)`", first)}
    assert listed == set(project["optional-dependencies"]) - {"gpu", "beyond"}


def test_pictures_of_pages_load_quickly():
    pictures = [*(ROOT / "docs" / "images").iterdir()]
    assert pictures
    assert [one.name for one in pictures if one.stat().st_size > 500_000] == []
