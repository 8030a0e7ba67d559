"""report writes a page about records of every kind, and replaces earlier reports only."""

import shutil
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest

from feedbench.bench.cli import main
from feedbench.bench.html import library
from feedbench.bench.results.find import find_runs

RESULTS = Path(__file__).parents[3] / "results"
BENCH, DIAGNOSIS = RESULTS / "clothing-cpu", RESULTS / "diagnose-clothing"
LARGEST = 6_000_000  # bytes, so that a page can be sent by mail


@pytest.fixture
def report(capsys, monkeypatch):
    """Runs the command; returns its exit code and its last line."""

    def run(*arguments: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["feedbench", "report", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        return ended.value.code or 0, (output.err or output.out).strip().splitlines()[-1]

    return run


def test_every_published_record_gives_a_page_of_moderate_size(report, tmp_path):
    out = tmp_path / "report.html"
    folders = [file.parent for file, _ in find_runs(RESULTS)]
    assert len(folders) > 10
    for folder in folders:
        code, line = report(folder, "--out", out)
        assert (code, line) == (0, line), folder
        assert out.stat().st_size < LARGEST, folder


def test_several_records_have_their_verdicts_at_the_top_of_one_page(report, tmp_path):
    out = tmp_path / "report.html"
    code, line = report(BENCH, DIAGNOSIS, "--out", out)
    assert (code, line.partition(" (")[0]) == (0, f"Written: {out}")
    top = out.read_text().partition("<article")[0]
    assert top.count('<p class="kind">') == 2


def test_runs_inside_a_folder_are_all_reported(report, tmp_path):
    for name, file in (("one", "trials.jsonl"), ("two", "summary.json")):
        (tmp_path / name).mkdir()
        shutil.copy(BENCH / file, tmp_path / name)
    assert report(tmp_path, "--out", tmp_path / "report.html")[0] == 0
    assert (tmp_path / "report.html").read_text().count("<article") == 2


def test_what_holds_no_record_beside_others_is_left_out(report, tmp_path):
    readme, folder, out = tmp_path / "README.md", tmp_path / "pack", tmp_path / "report.html"
    readme.write_text("# Runs")
    folder.mkdir()
    assert report(readme, BENCH, folder, "--out", out) == (
        0,
        f"Left out, because it holds no record: {folder}",
    )
    assert report(readme, "--out", out)[0] == 2


def test_earlier_reports_are_replaced_and_other_files_are_not(report, tmp_path):
    out = tmp_path / "report.html"
    assert report(BENCH, "--out", out)[0] == 0
    assert report(DIAGNOSIS, "--out", out)[0] == 0
    out.write_text("<p>My notes</p>")
    code, line = report(BENCH, "--out", out)
    assert (code, line) == (
        2,
        f"feedbench: {out}: exists and is not a report; name another file with --out",
    )
    assert out.read_text() == "<p>My notes</p>"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([BENCH, "no-such-run"], "no-such-run: no such folder or file; name the folder of a run"),
        ([BENCH, "--out", "none/report.html"], "none/report.html: no folder none; make it, or"),
        ([BENCH, "--out", "/proc/report.html"], "/proc/report.html: No such file or directory"),
        ([RESULTS.parent / "docs"], "docs: no record to show"),
    ],
)
def test_mistakes_are_said_in_one_line_and_nothing_is_written(
    report, tmp_path, monkeypatch, arguments, said
):
    monkeypatch.chdir(tmp_path)
    code, line = report(*arguments)
    assert code == 2
    assert line.startswith("feedbench: ")
    assert said in line
    assert list(tmp_path.iterdir()) == []


def test_missing_package_is_named_with_the_command_that_installs_it(report, tmp_path, monkeypatch):
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(library, "version", missing)
    code, line = report(BENCH, "--out", tmp_path / "report.html")
    assert code == 2
    assert "pip install 'feedbench[report]'" in line


def test_library_of_charts_is_built_once_and_again_without_a_cache(tmp_path, monkeypatch):
    built = []
    monkeypatch.setattr(library, "_built", lambda: built.append(1) or "code")
    monkeypatch.setenv("FEEDBENCH_CACHE", str(tmp_path / "cache"))
    assert [library.chart_library(), library.chart_library()] == ["code", "code"]
    assert len(built) == 1
    monkeypatch.setenv("FEEDBENCH_CACHE", "/proc/none")
    assert library.chart_library() == "code"
    assert len(built) == 2
