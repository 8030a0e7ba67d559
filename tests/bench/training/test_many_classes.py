"""What is written and printed of very many classes stays short."""

import json
from pathlib import Path

from feedbench.bench.html.kinds.cells import MOST_ROWS
from feedbench.bench.html.kinds.train import report_of_train
from feedbench.bench.html.parts import Chart, Table
from feedbench.bench.results.kinds import TrainingResult
from feedbench.bench.training.compare import _recall
from feedbench.bench.training.model_card import model_card
from feedbench.bench.training.outcome import counts_sentence
from feedbench.bench.training.predictions import LabelledPrediction

PUBLISHED = Path(__file__).parents[3] / "results" / "clothing-training" / "tuned"
CLASSES = [f"class {number}" for number in range(3_000)]


def result() -> dict:
    values = json.loads((PUBLISHED / "training.json").read_text())
    counts = dict.fromkeys(CLASSES, 20) | {"class 77": 3}
    line = {"images": 10, "recall": 0.5, "precision": 0.5}
    return {
        **values,
        "spec": {**values["spec"], "balance": 0.5},
        "classes": CLASSES,
        "images": dict.fromkeys(("train", "validation", "test"), counts),
        "images_per_epoch": counts,
        "per_class": [
            {**line, "name": name, "recall": 0.1 if name == "class 88" else 0.5} for name in CLASSES
        ],
    }


def test_a_model_card_has_the_worst_of_very_many_classes():
    card = model_card(result())
    assert len(card.splitlines()) < 600
    assert "200 of 3,000 classes: those with the lowest recall; `training.json` has all." in card
    lines = [line for line in card.splitlines() if line.startswith("| class ")]
    assert lines[1].startswith("| class 88 |")
    assert "| class 77 | 3 | 3 | 3 |" in card
    total = 2_999 * 20 + 3
    assert f"| **all** | {total} | {total} | {total} |" in card


def test_a_sentence_names_the_smallest_of_very_many_classes():
    text = counts_sentence(result()["images_per_epoch"])
    assert text.startswith("3 class 77, 20 class 0, ")
    assert text.endswith("and more of 2,960 other classes")
    assert counts_sentence({"hat": 1_000, "shirt": 2}) == "1,000 hat, 2 shirt"


def test_a_page_has_the_worst_of_very_many_classes(tmp_path):
    report = report_of_train(TrainingResult(tmp_path / "training.json", result()))
    parts = [part for section in report.sections for part in section.parts]
    (table,) = [one for one in parts if isinstance(one, Table) and one.title == "Classes"]
    assert len(table.rows) == MOST_ROWS
    assert table.rows[0][0] == "class 88"
    assert "Of 3,000 rows, the 1,000 with the lowest recall" in table.note
    (chart,) = [one for one in parts if isinstance(one, Chart) and "Recall is lowest" in one.title]
    assert chart.title == "Recall is lowest for class 88: 10.0%"
    assert len(chart.summary) < 2_000


def test_recalls_of_all_classes_are_counted_in_two_passes():
    class Once(list):
        passes = 0

        def __iter__(self):
            self.passes += 1
            return super().__iter__()

    predictions = Once(LabelledPrediction(f"{n % 50}", f"{n % 25}") for n in range(200))
    recall = _recall(predictions)
    assert len(recall) == 50
    assert (recall["3"].value, recall["30"].value) == (1.0, 0.0)
    assert predictions.passes == 2
