"""The report of a study pairs runs of equal seed, and its tables show every value."""

from io import StringIO

import pytest

from feedbench.bench.commands.study import _Progress
from feedbench.bench.report.terminal import Terminal
from feedbench.bench.study.messages import Skipped, Starting
from feedbench.bench.study.report import make_report
from feedbench.bench.study.run import RUNS
from feedbench.bench.study.study import Study, StudyRun, make_runs
from feedbench.bench.study.table import parts
from feedbench.bench.trials.protocol import Failed

# Number of correct test images, of 10, by optimizer and seed; adam's third run is missing.
CORRECT = {('"sgd"', 0): 9, ('"sgd"', 1): 8, ('"sgd"', 2): 9, ('"adam"', 0): 4, ('"adam"', 1): 2}


@pytest.fixture
def runs() -> list[StudyRun]:
    grid = {"recipe.optimizer": ["sgd", "adam"]}
    return make_runs(Study(data="photos", seeds=3, grid=grid), {"batch_size": 8})


@pytest.fixture
def folder(tmp_path, runs):
    for run in runs:
        run_folder = tmp_path / RUNS / run.name
        run_folder.mkdir(parents=True)
        count = CORRECT.get((run.cell["recipe.optimizer"], run.seed))
        if count is None:
            (run_folder / "failed.json").write_text('{"reason": "out of memory"}')
            continue
        lines = [f"{image}.jpg,a,{'a' if image < count else 'b'},0.9" for image in range(10)]
        header = "path,label,predicted,probability"
        (run_folder / "predictions.csv").write_text("\n".join([header, *lines]) + "\n")
        (run_folder / "training.json").write_text("{}")
    return tmp_path


def test_runs_of_equal_seed_are_paired_with_the_first_value(folder, runs):
    report = make_report(folder, runs)
    sgd, adam = report.effects[0].values
    assert (sgd.value, sgd.accuracies, sgd.difference) == ('"sgd"', [0.9, 0.8, 0.9], None)
    assert adam.accuracies == [0.4, 0.2]
    assert adam.difference is not None
    assert adam.difference.pairs == 2
    assert adam.difference.value == pytest.approx(((0.4 - 0.9) + (0.2 - 0.8)) / 2)
    assert (report.images, report.missing) == (10, 0)
    assert list(report.failed.values()) == ["out of memory"]
    (sentence,) = report.text
    assert sentence.startswith('recipe.optimizer "adam" compared with "sgd": -55.0% [')
    assert sentence.endswith("over 2 pairs: cannot tell")


def test_runs_that_were_not_started_are_missing(tmp_path, runs):
    report = make_report(tmp_path, runs)
    assert (report.images, report.missing, report.failed, report.text) == (0, 6, {}, [])
    assert [value.mean for value in report.effects[0].values] == [None, None]


def test_a_table_has_a_row_for_each_value(folder, runs, printed):
    text = printed(*parts(make_report(folder, runs)))
    (row,) = (line for line in text.splitlines() if '"sgd"' in line and "compared" not in line)
    assert "90.0%, 80.0%, 90.0%" in row
    assert row.rstrip().endswith("–")  # the first value has no difference
    assert "-55.0% [" in text
    assert "failed: out of memory" in text


def test_a_test_image_that_a_run_has_dropped_is_not_compared(folder, runs):
    run = next(run for run in runs if (run.cell["recipe.optimizer"], run.seed) == ('"adam"', 0))
    path = folder / RUNS / run.name / "predictions.csv"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:1] + lines[2:]) + "\n")  # without the first image
    report = make_report(folder, runs)
    assert report.images == 9
    assert report.text[0] == "1 of 10 test images are not in all runs, and not compared"
    difference = report.effects[0].values[1].difference
    assert difference.value == pytest.approx(((3 - 8) + (1 - 7)) / 2 / 9)


def test_a_single_test_image_has_no_interval(folder, runs):
    for path in (folder / RUNS).glob("*/predictions.csv"):
        path.write_text("\n".join(path.read_text().splitlines()[:2]) + "\n")
    (sentence,) = make_report(folder, runs).text
    assert sentence.endswith("+0.0% in one image: cannot tell; use more test images")


def test_the_reason_of_a_failure_that_was_just_printed_is_not_repeated(folder, runs, printed):
    report = make_report(folder, runs)
    (name,) = report.failed
    text = printed(*parts(report, [name]))
    assert "out of memory" not in text
    assert f"1 training failed, as said above: {name}" in text


def test_progress_notes_which_failures_it_has_printed(runs):
    output = StringIO()
    progress = _Progress(Terminal(file=output, width=200), 2)
    progress(runs[0], Starting(resumed=False))
    progress(runs[0], Failed(reason="out of memory"))
    progress(runs[1], Skipped())
    assert "[1/2]   failed: out of memory" in output.getvalue()
    assert progress.failed == [runs[0].name]
