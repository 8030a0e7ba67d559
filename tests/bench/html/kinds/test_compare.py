"""What the reports of a comparison and of a history say."""

from datetime import timedelta
from pathlib import Path

import pytest

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.summary import summarize
from feedbench.bench.compare.history import append_history, history_entry
from feedbench.bench.files import write_model
from feedbench.bench.html.kinds import report_at
from feedbench.bench.html.kinds.history import report_of_history
from feedbench.bench.html.parts import Chart, Text
from feedbench.bench.results.comparison import (
    ComparedRun,
    Comparison,
    Difference,
    Gate,
    RatePair,
    Unpaired,
)
from feedbench.bench.results.kinds import BenchResult, CompareResult


def estimate(value, spread=0.02):
    return Estimate(value=value, low=value * (1 - spread), high=value * (1 + spread))


def pair(name, times, outcome, **values):
    rates = {"base": estimate(1000), "other": estimate(1000 * times), "ratio": estimate(times)}
    facts = {"run": 1, "name": name, "base_name": name, "blocks": (5, 5), "outcome": outcome}
    return RatePair(**{**rates, **facts, **values})


@pytest.fixture
def comparison():
    return Comparison(
        is_paired=False,
        runs=[
            ComparedRun(name=name, path=name, command="bench", measured="10 images")
            for name in ("before", "after")
        ],
        differences=[Difference(run=1, topic="machine", name="cores", base="2", other="4")],
        pairs=[
            pair("turbo", 1.0, "same within 3 %"),
            pair("keras_pil", 0.8, "slower"),
            pair("tf_data", 1.0, "cannot tell", other=None, ratio=None, error="out of memory"),
        ],
        unpaired=[Unpaired(run=1, name="packed", is_in_base=False, images_per_second=None)],
        gate=Gate(
            limit=0.05, failed=["keras_pil"], open=[], judged=1, not_judged=0, text="1 is slower."
        ),
        verdict="Slower: keras_pil.",
    )


def test_slower_rates_come_first_and_a_failed_one_is_in_the_table(page, comparison):
    made = page(CompareResult(Path("compare.json"), comparison))
    assert made.report.headline.sentence == "Slower: keras_pil."
    chart = made.chart("Slower: keras_pil; 1 the same within 3 %")
    rows = chart.spec["data"]["values"]
    assert [(row["name"], row["role"]) for row in rows] == [
        ("keras_pil", "cost"),
        ("turbo", "plain"),
    ]
    results = {row["what"]: row["result"] for row in made.table("Rates")}
    assert results["tf_data"] == "failed"


def test_a_run_compared_with_the_old_choice_in_it_is_named_once_and_is_no_base(page, comparison):
    alone = {"is_paired": True, "runs": comparison.runs[:1], "unpaired": [], "differences": []}
    pairs = [one.model_copy(update={"run": 0}) for one in comparison.pairs]
    paired = comparison.model_copy(update={**alone, "pairs": pairs})
    made = page(CompareResult(Path("compare.json"), paired))
    assert made.report.title == "New against old in before"
    assert "(base)" not in made.text


def test_what_differs_and_the_failed_gate_are_said(page, comparison):
    made = page(CompareResult(Path("compare.json"), comparison))
    styles = {part.text: part.style for part in made.of(Text)}
    assert styles["differs: cores 2 against 4"] == "warning"
    assert styles["1 is slower."] == "error"
    assert made.table("Without a partner")[0]["only in"] == "after"


def test_nothing_in_common_is_a_report_without_a_chart(page, comparison):
    empty = comparison.model_copy(update={"pairs": [], "gate": None, "unpaired": []})
    assert not page(CompareResult(Path("compare.json"), empty)).of(Chart)


def test_history_is_a_line_per_loader_and_a_section_per_set_of_conditions(measured, tmp_path):
    file = tmp_path / "history.jsonl"
    for days, rates in enumerate(([400, 410, 420], [300, 310, 320])):
        trials = [measured("keras_pil", rates), measured("turbo", [800, 810, 820])]
        entry = history_entry(trials, summarize(trials))
        time = entry.time + timedelta(days=days)
        append_history(file, entry.model_copy(update={"time": time}))
    append_history(file, entry.model_copy(update={"images": 99}))
    report = report_at(file)
    assert [section.title.split()[0] for section in report.sections] == ["10", "99"]
    chart = report.sections[0].parts[0]
    assert chart.title == "keras_pil changed most from the first run to the last: × 0.76"
    assert len(chart.spec["data"]["values"]) == 4


def test_history_names_no_change_within_the_intervals(measured, tmp_path):
    file = tmp_path / "history.jsonl"
    for rates in ([300, 400, 500], [250, 350, 450]):
        trials = [measured("keras_pil", rates)]
        append_history(file, history_entry(trials, summarize(trials)))
    chart = report_at(file).sections[0].parts[0]
    assert chart.title.startswith("The intervals of the first run and of the last one overlap")


def test_empty_history_says_so(tmp_path):
    (tmp_path / "history.jsonl").write_text("")
    report = report_of_history(tmp_path / "history.jsonl")
    assert report.sections[0].parts[0].text == "The history is empty."


def test_comparison_in_the_folder_of_a_bench_is_a_section_of_its_report(
    page, measured, comparison, tmp_path
):
    write_model(tmp_path / "compare.json", comparison)
    trials = [measured("turbo", [800, 810, 820])]
    made = page(BenchResult(tmp_path / "trials.jsonl", trials, summarize(trials)))
    assert "ratios-1" in made.anchors
    assert "Slower: keras_pil." in {part.text for part in made.of(Text)}
