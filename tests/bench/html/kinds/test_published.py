"""Every published record gives a report, with the figures that show writes as JSON."""

import json
from itertools import pairwise

import pytest
from published import RESULTS, published

from feedbench.bench.html.parts import Chart, Text
from feedbench.bench.results.find import find_record, find_runs, read_result

FILES = published(
    [path for path, _ in find_runs(RESULTS)]
    + [
        path
        for name in ("tune-vs-grid/*/*.json", "pixels-clothing/*.json")
        for path in RESULTS.glob(name)
    ]
)
SMALL = 2_000_000  # characters of all charts, so that a page of several records stays under 6 MB


def figures(values):
    return None if values is None else [values["median"], values["low"], values["high"]]


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(RESULTS)))
def test_gives_a_report_with_small_charts_and_the_verdict(page, file):
    result = read_result(file)
    made = page(result)
    assert sum(len(json.dumps(chart.spec)) for chart in made.of(Chart)) < SMALL
    assert made.of(Chart) or find_record(file)[1].command == "plan"  # which is a table
    if "verdict" in result.values:
        assert made.report.headline.sentence == result.values["verdict"]


def test_all_kinds_are_among_them_but_those_that_are_measured_elsewhere():
    kinds = {find_record(file)[1].command for file in FILES}
    assert kinds >= {"bench", "tune", "diagnose", "limits", "train", "study", "pixels", "fit"}


def test_rates_of_a_bench_are_those_of_show(page):
    result = read_result(RESULTS / "clothing-cpu")
    rows = page(result).table("All loaders")
    trials = result.values["trials"]
    loaders = [one for one in trials if one["loader"] != "synthetic"]
    rates = sorted((figures(one["images_per_second"]) for one in loaders), reverse=True)
    costless = [figures(one["images_per_second"]) for one in trials if one not in loaders]
    assert [row["images/s [95 %]"] for row in rows] == [*rates, *costless]
    ratios = {tuple(figures(one["ratio_to_best"])) for one in loaders}
    shown = [row["ratio to best [95 %]"] for row in rows]
    assert {tuple(ratio) for ratio in shown if ratio} == ratios


def test_ceilings_causes_and_predictions_of_a_diagnosis_are_those_of_show(page):
    result = read_result(RESULTS / "diagnose-clothing")
    made, values = page(result), result.values
    assert [row["images/s [95 %]"] for row in made.table("Ceilings")] == [
        figures(one["images_per_second"]) for one in values["ceilings"]
    ]
    shares = {
        row["cause"]: row["share of the time"][0] for row in made.table("Causes of the stall")
    }
    assert shares == {one["cause"]: one["stall"] for one in values["shares"]}
    predicted = {row["change"]: row["images/s"][0] for row in made.table("Predictions")}
    assert predicted == {one["change"]: one["images_per_second"] for one in values["predictions"]}


def test_the_waterfall_leads_from_the_consumer_down_to_the_rate(page):
    result = read_result(RESULTS / "diagnose-clothing")
    (chart,) = [one for one in page(result).of(Chart) if "points that are lost" in one.title]
    bars = chart.spec["data"]["values"]
    stall, rate = result.diagnosis.stall.value, result.diagnosis.end_to_end
    assert bars[0]["high"] == pytest.approx(rate / (1 - stall))
    assert bars[-1]["high"] == rate
    for upper, lower in pairwise(bars[:-1]):
        start = upper["high"] if upper is bars[0] else upper["low"]
        assert lower["high"] == pytest.approx(start)
    assert bars[-2]["low"] == pytest.approx(rate, rel=0.01)
    (marked,) = [bar for bar in bars if bar["role"] == "cost"]
    assert marked["name"] == f"bottleneck: {result.diagnosis.bottleneck.cause}"
    assert marked["short"].endswith(" points")
    assert marked["text"].startswith("−")  # the axis has minus signs too
    assert "-" not in marked["text"]


def test_shares_of_the_limits_are_those_of_show(page):
    result = read_result(RESULTS / "limits" / "clothing")
    rows = {
        row["loader and settings"]: row["share [95 %]"] for row in page(result).table("Loaders")
    }
    assert rows == {one["loader"]: figures(one["share"]) for one in result.values["loaders"]}


def test_comparisons_of_a_search_are_those_of_show(page):
    result = read_result(RESULTS / "tune-vs-grid" / "drain" / "tune-1.json")
    rows = page(result).table("Comparisons in their order")
    ratios = [figures(one["ratio"]) for one in result.values["findings"]]
    assert [row["rate ratio [95 %]"] for row in rows] == ratios


def test_effects_of_a_study_are_those_of_show(page):
    result = read_result(RESULTS / "range-study")
    (effect,) = result.values["effects"]
    found = [row["difference from the first"] for row in page(result).table("Values")]
    expected = [value["difference"] for value in effect["values"]]
    assert found == [
        None if one is None else [one["value"], one["low"], one["high"]] for one in expected
    ]


@pytest.mark.parametrize("name", ["scratch", "balanced", "tuned"])  # the first two have equals
def test_the_marked_epoch_of_a_training_is_the_one_whose_model_was_kept(page, name):
    result = read_result(RESULTS / "clothing-training" / name)
    accuracies = [one["validation_accuracy"] for one in result.values["epochs"]]
    kept = max(n for n, one in enumerate(accuracies, 1) if one == max(accuracies))
    assert page(result).chart(f"Validation accuracy is highest after epoch {kept}: ")


def test_epochs_and_confusions_of_a_training_are_those_of_its_files(page):
    result = read_result(RESULTS / "clothing-training" / "tuned")
    made = page(result)
    losses = [row["validation"][0] for row in made.table("Epochs")]
    assert losses == [one["validation_loss"] for one in result.values["epochs"]]
    (chart,) = [
        one for one in made.of(Chart) if one.title.startswith("The most frequent confusion")
    ]
    cells = chart.spec["data"]["values"]
    right = sum(cell["count"] for cell in cells if cell["true"] == cell["predicted"])
    images = sum(cell["count"] for cell in cells)
    assert right / images == pytest.approx(result.values["test"]["accuracy"])


@pytest.mark.parametrize(
    ("name", "said"),
    [("beyond/service/diagnosis", ["1,764 images/s", "1,712, is of a"]), ("diagnose-clothing", [])],
    ids=["two rates", "one rate"],
)
def test_where_two_rates_end_to_end_differ_a_note_says_which_is_which(page, name, said):
    texts = [one.text for one in page(read_result(RESULTS / name)).of(Text)]
    notes = [text for text in texts if text.startswith("End to end, causes and predictions start")]
    assert len(notes) == bool(said)
    assert all(part in notes[0] for part in said)
