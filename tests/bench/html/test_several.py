"""Several results on one page can be told apart."""

import re
import shlex
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from feedbench.bench.compare.compare import compare_runs
from feedbench.bench.html.kinds import report_at
from feedbench.bench.html.parts import Code, Headline, Origin, Report, Section, Table, Text
from feedbench.bench.html.render import render
from feedbench.bench.html.several import differing, entries, overview

RESULTS = Path(__file__).parents[3] / "results"
DIAGNOSES = [RESULTS / "diagnose-clothing" / name for name in ("one-core", "two-cores")]


def origin(name: str, command: str = "bench", **facts: str) -> Origin:
    began = datetime(2026, 11, 25, 8, 30, tzinfo=UTC)
    return Origin(Path("runs") / name, command, began, facts)


def report(one: Origin) -> Report:
    return Report("Bench", Headline("turbo wins."), [Section("A", [Text("a")], "a")], one)


def test_headings_have_the_folder_what_differs_and_the_date():
    pair = [report(origin("a", cache="warm")), report(origin("b", cache="cold"))]
    first, second = entries(pair)
    assert (first.heading, second.heading) == ("a: Bench", "b: Bench")
    assert first.about == "cache warm · 2026-11-25 08:30 UTC"
    assert second.about.startswith("cache cold")


def test_a_record_that_does_not_say_when_it_began_has_no_date():
    """The date of the file may be that of a copy."""
    undated = report(Origin(Path("runs") / "a", "bench", None, {}))
    (only,) = entries([undated])
    assert only.about == "a"
    _, table, *_ = overview([undated, report(origin("b"))]).parts
    assert [list(row)[2] for row in table.rows] == [None, "2026-11-25 08:30 UTC"]
    _, table, *_ = overview([undated, undated]).parts
    assert [column.title for column in table.columns] == ["result", "what"]


def test_the_same_folder_twice_is_numbered():
    pair = [report(origin("a")), report(origin("a"))]
    assert [one.heading for one in entries(pair)] == ["1: a: Bench", "2: a: Bench"]


def test_a_single_report_has_its_folder_and_date_and_the_title_alone():
    (only,) = entries([report(origin("a", cache="warm"))])
    assert (only.heading, only.about) == ("Bench", "a · 2026-11-25 08:30 UTC")


def test_only_known_conditions_of_one_command_differ():
    found = differing(
        [
            origin("a", cache="warm", cores="2"),
            origin("b", cache="cold"),
            origin("c", "train", epochs="20", cache="lukewarm"),
        ]
    )
    assert found == ["cache"]


def test_overview_says_what_differs_and_how_to_compare():
    pair = [report(origin("a", cache="warm")), report(origin("b", cache="cold"))]
    text, table = overview(pair).parts
    assert isinstance(text, Text)
    assert "no figure on this page compares two of them" in text.text
    assert text.text.endswith("They differ in cache.")
    assert isinstance(table, Table)
    assert [list(row) for row in table.rows][1] == ["b", "Bench", "2026-11-25 08:30 UTC", "cold"]


def decided(name: str, command: str = "bench", **decisive: str) -> Origin:
    return Origin(Path("runs") / name, command, None, {}, decisive)


def commands(*origins: Origin) -> list[str]:
    """Return the commands of a page about these runs."""
    parts = overview([report(one) for one in origins]).parts
    return [part.text for part in parts if isinstance(part, Code)]


def test_runs_that_can_be_compared_are_named_in_one_command():
    assert commands(
        decided("a", cache="warm"),
        decided("b", cache="cold"),
        decided("t", "train", cache="warm"),
        decided("c", cache="warm", data="48"),
        decided("d", cache="cold"),
        decided("e"),
        origin("f"),
    ) == ["feedbench compare runs/a runs/c runs/e", "feedbench compare runs/b runs/d"]
    assert commands(decided("a", cache="warm"), decided("b", cache="cold")) == []


@pytest.mark.parametrize(
    "pattern", ["beyond/*/*/trials.jsonl", "diagnose-clothing/*/diagnosis.json"]
)
def test_the_commands_of_a_report_run_as_they_are_written(monkeypatch, pattern):
    """Runs with other batches, photographs, consumers or cache states are not in one command."""
    monkeypatch.chdir(RESULTS)
    folders = sorted(path.parent for path in Path().glob(pattern))
    origins = [report_at(path, is_alone=False).origin for path in folders]
    suggested = commands(*(one for one in origins if one is not None))
    assert suggested
    for command in suggested:
        compare_runs([Path(word) for word in shlex.split(command)[2:]])


@pytest.fixture(scope="module")
def page() -> str:
    return render([report_at(path, is_alone=False) for path in DIAGNOSES])


def test_two_diagnoses_of_one_loader_are_told_apart_in_contents_headlines_and_headings(page):
    text = page.replace("<wbr>", "")
    for name, cores in (("one-core", 1), ("two-cores", 2)):
        heading = f"{name}: Diagnosis of tf_data with an emulated RTX 3090"
        assert text.count(f"{heading}</a>") == 2
        assert text.count(f"{heading}</h2>") == 1
        assert re.search(rf"{heading}</h2>\s*<p class=\"kind\">[^<]*cores {cores}\b", text)


def test_cold_and_warm_files_are_told_apart():
    names = ("keras_pil-v100-cold", "keras_pil-v100-warm")
    paths = [RESULTS / "diagnose-clothing" / name for name in names]
    cold, warm = entries([report_at(path, is_alone=False) for path in paths])
    assert "cache state cold" in cold.about
    assert "cache state warm" in warm.about


def test_no_folder_of_this_machine_is_in_the_command(tmp_path):
    for name in ("a", "b"):
        shutil.copytree(RESULTS / "tutorial" / "first", tmp_path / name)
    reports = [report_at(tmp_path / name, is_alone=False) for name in ("a", "b")]
    assert str(tmp_path) not in render(reports)
