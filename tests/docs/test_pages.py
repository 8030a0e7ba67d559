"""Every command and code block of the documents, run in the order of the page."""

import tomllib

import pytest

from feedbench.bench.cluster.hosts import cluster_of
from feedbench.bench.plan.plan import read_suite
from feedbench.bench.plan.toml import parse_model, read_toml
from feedbench.bench.study.study import read_study
from feedbench.loaders.containers.hints import read_hints
from feedbench.trainer import Recipe

from .as_tested import GIVEN, NOT_RUN, RUN_BY
from .blocks import PAGES, ROOT, blocks_of, page_id
from .reader import Reader, reason_not_to_run

LANGUAGES = {"sh", "python", "toml", "text", "yaml"}  # text: what a command prints
TOML = [(page, block) for page in PAGES for block in blocks_of(page) if block.language == "toml"]
WITH_CODE = [
    page for page in PAGES if any(block.language in ("sh", "python") for block in blocks_of(page))
]

# What the commands of a page must print, besides ending well.
PRINTED = {
    "docs/own-pipeline.md": ("serial map", "no prefetch", "with_rows.py:make_batches"),
    "docs/tutorial.md": ("serial map", "FitMonitor: Over "),
}


def place(page, block):
    return f"{page_id(page)}:{block.line}"


def commands_of(page):
    """The words of each command of a page that its test runs."""
    elsewhere = tuple(RUN_BY.get(page_id(page), {}))
    blocks = (block for block in blocks_of(page) if block.language == "sh")
    lines = [line for block in blocks for line in block.text.splitlines()]
    run = [line for line in lines if not (elsewhere and line.startswith(elsewhere))]
    return [line.split() for line in run if line.startswith("feedbench ")]


@pytest.mark.timeout(1500)  # a page may have a dozen commands, on a machine with other tests
@pytest.mark.parametrize("page", WITH_CODE, ids=page_id)
def test_a_page_can_be_followed(page, photos, server, tmp_path):
    (tmp_path / "here").mkdir()
    reader = Reader(page, tmp_path / "here", photos, server)
    printed = ""
    for block in blocks_of(page):
        try:
            printed += reader.follow(block)
        except AssertionError as error:
            raise AssertionError(f"{place(page, block)}: {error}") from None
    assert [text for text in PRINTED.get(page_id(page), ()) if text not in printed] == []


@pytest.mark.parametrize(("page", "block"), TOML, ids=[place(page, block) for page, block in TOML])
def test_a_toml_block_is_read_by_the_code_that_takes_it(page, block, tmp_path):
    file = tmp_path / "source.toml"
    file.write_text(block.text)
    fields = set(tomllib.loads(block.text))
    if "trial" in fields:
        read_suite(file)
    elif "grid" in fields:
        read_study(file)
    elif "workers" in fields:
        assert cluster_of(file, 0).is_chief
    elif fields <= {"image", "label", "classes"}:
        assert read_hints(tmp_path, tmp_path).image
    else:
        parse_model(Recipe, read_toml(file), "the recipe")


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_every_block_says_what_it_is(page):
    unknown = [block.line for block in blocks_of(page) if block.language not in LANGUAGES]
    assert unknown == [], f"name the language of these blocks, one of {sorted(LANGUAGES)}"


def test_every_exception_is_needed():
    lines = [
        line for page in PAGES for block in blocks_of(page) for line in block.text.splitlines()
    ]
    used = {words for words in NOT_RUN for line in lines if line.lstrip().startswith(words)}
    assert used == set(NOT_RUN)
    for page, commands in RUN_BY.items():
        for command, other in commands.items():
            assert command in " ".join((ROOT / page).read_text().replace("\\\n", " ").split())
            assert command.split()[1] in {words[1] for words in commands_of(ROOT / other)}
    assert set(GIVEN) <= {page_id(page) for page in PAGES}
    assert reason_not_to_run("feedbench bench photos/") is None
