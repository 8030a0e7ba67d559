"""Reports of the other kinds where something is missing, failed, odd or very large."""

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from feedbench.bench.html.parts import Chart, Picture, Text
from feedbench.bench.monitor.record import FitRecord
from feedbench.bench.pixels.result import ImageDifference, LoaderPixels, PixelComparison
from feedbench.bench.results.find import read_result
from feedbench.bench.results.kinds import (
    FitResult,
    PixelsResult,
    ScanResult,
    SelfTestResult,
    StudyResult,
    TrainingResult,
    TuneResult,
)
from feedbench.bench.selftest.report import BatteryResult, CaseResult, Checked
from feedbench.bench.study.report import FieldResult, StudyReport, ValueResult
from feedbench.bench.tune.record import TuneRecord

RESULTS = Path(__file__).parents[4] / "results"
HOSTILE = "<b>" + "x" * 200
SPLITS = ("train", "validation", "test")


def a_scan(**values):
    verdict = {"fails": 1, "alters": 0, "drops": 2, "left_out": None}
    counts = {split: {HOSTILE: 3, "hat": 30} for split in SPLITS}
    none = {"pictures": 0, "files": 0, "across_splits": 0, "across_classes": 0}
    report = {
        "images": 99,
        "bytes": 10**6,
        "classes": [HOSTILE, "hat"],
        "counts": counts,
        "formats": {"JPEG": 99},
        "problems": {},
        "unreadable": {},
        "duplicates": none,
        "few_images": {},
        "loaders": {"keras_pil": verdict},
    }
    return ScanResult(Path("scan.json"), {**report, **values})


def test_scan_says_what_is_wrong_in_words_and_lists_odd_names(page):
    problems = {"EXIF says it is turned": 4}
    made = page(a_scan(problems=problems, unreadable={"truncated": 2}, few_images={HOSTILE: 3}))
    assert "; rotated or mirrored by EXIF: 4." in made.report.headline.sentence
    assert made.report.headline.command == "feedbench scan DATA --bad > blacklist.csv"
    assert made.table("Images by class and split")[0]["class"] == HOSTILE
    assert made.table("Files")[0]["fails on"] == 1
    assert "feedbench leaves out" not in made.table("Files")[0]  # of no library here
    assert any(part.style == "warning" and HOSTILE in part.text for part in made.of(Text))


def test_scan_of_many_classes_has_a_table_without_bars(page):
    names = [f"n{number:08}" for number in range(1000)]
    counts = {split: dict.fromkeys(names, 1) for split in SPLITS}
    made = page(a_scan(classes=names, counts=counts))
    assert not made.of(Chart)
    assert len(made.table("Images by class and split")) == 1000


def test_scan_of_nothing_is_a_report(page):
    page(a_scan(images=0, classes=[], counts={split: {} for split in SPLITS}))


def test_fit_without_a_block_says_why(page):
    record = FitRecord(
        backend="tensorflow",
        keras="3",
        model="m",
        data="d",
        device="CPU",
        steps_per_execution=1,
        warm_up=1,
        is_synchronous=True,
        first_waits_s=[],
        notes=["it ended before the first block"],
    )
    made = page(FitResult(Path("fit.json"), record, [], None))
    assert "it ended before the first block" in made.report.headline.sentence
    assert not made.of(Chart)


def test_stall_of_a_fit_is_never_below_zero(page):
    result = read_result(RESULTS / "fit-clothing")
    assert result.figures.stall.low < 0
    table = page(result).table("Figures")
    (stall,) = (row for row in table if str(row["figure"]).startswith("stall"))
    assert stall["value"][1] == 0.0


def test_search_that_was_too_short_has_no_command(page):
    made = page(TuneResult(Path("tune.json"), TuneRecord(about={})))
    assert made.report.headline.command is None


def test_study_with_a_single_run_compares_nothing(page):
    one = ValueResult(value="1", accuracies=[0.5], mean=None, difference=None)
    other = ValueResult(value="2", accuracies=[], mean=None, difference=None)
    report = StudyReport(
        images=10,
        confidence=0.95,
        effects=[FieldResult(field="recipe.alpha", values=[one, other])],
        missing=1,
        failed={"0-alpha=2-seed-0": "out of memory"},
        text=[],
    )
    made = page(StudyResult(Path("study.json"), report))
    assert made.table("Failed runs")[0]["reason"] == "out of memory"
    assert {"failed", "missing"} <= {*made.anchors}


def test_self_test_shows_predictions_that_missed(page):
    checked = [
        Checked(change="files in memory", predicted=100, low=90, high=110, measured=104),
        Checked(change="twice the cores", predicted=200, measured=100),
    ]
    case = CaseResult(
        name="slow disk", loader="turbo", expected="storage", named="storage", checked=checked
    )
    skipped = CaseResult(name="two cores", loader="turbo", expected="decoding", skipped="one core")
    battery = BatteryResult(environment={"cores": 2}, cases=[case, skipped])
    made = page(SelfTestResult(Path("selftest.json"), battery))
    assert made.report.headline.sentence == "1 of 1 injected bottlenecks failed: slow disk."
    chart = made.chart("1 of 2 predictions are within 10 %")
    assert [row["role"] for row in chart.spec["data"]["values"]] == ["plain", "cost"]
    assert made.table("Injected bottlenecks")[2]["result"] == "skipped: one core"


def a_training(tmp_path, classes, labels) -> TrainingResult:
    """A training whose network takes every image for the class after its own."""
    values = read_result(RESULTS / "clothing-training" / "tuned").values
    with (tmp_path / "predictions.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "predicted", "probability"])
        for number, label in enumerate(labels):
            after = classes[(classes.index(label) + 1) % len(classes)]
            writer.writerow([f"{number}.jpg", label, after, "0.5"])
    return TrainingResult(tmp_path / "training.json", {**values, "classes": classes})


def test_sixty_classes_have_a_table_of_the_most_confused_instead_of_a_matrix(page, tmp_path):
    classes = [f"class {number}" for number in range(60)]
    made = page(a_training(tmp_path, classes, [*classes, "class 7"]))
    assert not [one for one in made.of(Chart) if one.title.startswith("The most frequent")]
    first = made.table("Confused classes")[0]
    assert (first["true class"], first["taken for"], first["images"]) == ("class 7", "class 8", 2)


def test_three_classes_have_a_matrix_of_counts(page, tmp_path):
    made = page(a_training(tmp_path, ["a", HOSTILE, "c"], ["a", "a", "c"]))
    cells = made.chart("The most frequent confusion").spec["data"]["values"]
    assert len(cells) == 9
    counts = {(one["true"], one["predicted"]): one["count"] for one in cells if one["count"]}
    assert counts == {("a", HOSTILE): 2, ("c", "a"): 1}


def test_an_infinite_loss_is_left_out_of_the_curves(page, tmp_path):
    values = read_result(RESULTS / "clothing-training" / "tuned").values
    first, *others = values["epochs"]
    epochs = [{**first, "loss": math.nan, "validation_loss": math.inf}, *others]
    made = page(TrainingResult(tmp_path / "training.json", {**values, "epochs": epochs}))
    shown = made.chart("Validation loss is lowest").spec["data"]["values"]
    assert len(shown) == 2 * len(others)


def test_epochs_in_which_a_training_was_resumed_are_named_beside_the_rates(page, tmp_path):
    values = read_result(RESULTS / "clothing-training" / "tuned").values
    epochs = [{**one, "first_of_process": one["epoch"] in (1, 3)} for one in values["epochs"]]
    made = page(TrainingResult(tmp_path / "training.json", {**values, "epochs": epochs}))
    assert "those in which it was resumed (3)" in made.chart("The epochs ran at").summary


def test_of_equally_frequent_confusions_the_first_by_class_is_named(page, tmp_path):
    made = page(a_training(tmp_path, ["a", "b", "c"], ["c", "b", "a"]))
    assert made.chart("The most frequent confusion: a taken for b")
    assert [row["true class"] for row in made.table("Confused classes")] == ["a", "b", "c"]


def test_training_without_a_test_split_or_predictions(page, tmp_path):
    values = read_result(RESULTS / "clothing-training" / "tuned").values
    values = {**values, "test": None, "per_class": [], "epochs": values["epochs"][:1]}
    made = page(TrainingResult(tmp_path / "training.json", values))
    assert "test" not in made.anchors


@pytest.fixture
def comparison():
    worst = [ImageDifference(path=f"{HOSTILE}.jpg", row=1, mean=21.0, largest=99, reason="resize")]
    return PixelComparison(
        reference="keras_pil",
        tolerance=3.0,
        images=2,
        loaders=[
            LoaderPixels(loader="keras_pil", settings={}, within=True),
            LoaderPixels(
                loader="turbo", settings={}, worst_mean=21, largest=99, within=False, worst=worst
            ),
            LoaderPixels(loader="tf_data", settings={}, error="no such file"),
        ],
    )


def test_pixels_name_the_cause_and_the_images(page, comparison, tmp_path):
    made = page(PixelsResult(tmp_path / "pixels.json", comparison))
    assert made.chart("Beyond the tolerance: turbo")
    rows = {row["loader and settings"]: row for row in made.table("Loaders")}
    assert rows["turbo"]["cause"] == "resize"
    assert rows["tf_data"]["verdict"] == "failed"
    assert made.table("Images")[0]["image"] == f"{HOSTILE}.jpg"


def test_large_contact_sheet_is_made_smaller_and_a_broken_one_is_said(page, comparison, tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (500, 500, 3)).astype(np.uint8)
    Image.fromarray(noise).save(tmp_path / "sheet.png")
    (tmp_path / "broken.png").write_bytes(b"no picture")
    made = page(PixelsResult(tmp_path / "pixels.json", comparison))
    (picture,) = made.of(Picture)
    assert len(picture.png) < (tmp_path / "sheet.png").stat().st_size / 2
    assert any("broken.png" in part.text for part in made.of(Text))
