"""Predictions are counted by class, written as CSV and read back."""

import os
import shutil

import numpy as np
import pytest

from feedbench.bench.errors import RecordError
from feedbench.bench.training.confusion import draw_confusion
from feedbench.bench.training.predictions import (
    LabelledPrediction,
    Predictions,
    class_metrics,
    read_predictions,
)
from feedbench.loaders import scan


@pytest.fixture
def predictions() -> Predictions:
    """Two batches: circle, circle, square; then square, taken for a circle with 60 %."""
    return Predictions(
        rows=[np.array([0, 1, 4]), np.array([5])],
        labels=[np.array([0, 0, 1], np.int32), np.array([1], np.int32)],
        predicted=[np.array([0, 0, 1]), np.array([0])],
        probability=[np.array([0.9, 0.8, 0.7], np.float32), np.array([0.6], np.float32)],
    )


def test_recall_and_precision_follow_from_the_confusion_matrix(predictions):
    pairs = predictions.pairs(3)
    assert pairs.matrix(3).tolist() == [[2, 0, 0], [1, 1, 0], [0, 0, 0]]
    circle, square, unused = class_metrics(pairs, ["circle", "square", "unused"])
    assert (circle.images, circle.recall, circle.precision) == (2, 1.0, pytest.approx(2 / 3))
    assert (square.images, square.recall, square.precision) == (2, 0.5, 1.0)
    assert (unused.images, unused.recall, unused.precision) == (0, None, None)


def test_written_predictions_are_read_back(predictions, tiny_photos, tmp_path):
    predictions.write(tmp_path / "predictions.csv", scan(tiny_photos).only("test"))
    lines = (tmp_path / "predictions.csv").read_text().splitlines()
    assert lines[4] == "test/square/1.jpg,square,circle,0.600000"
    read = read_predictions(tmp_path)
    assert read["test/square/1.jpg"] == LabelledPrediction("square", "circle")
    assert [prediction.correct for prediction in read.values()] == [True, True, True, False]


def test_class_names_that_are_not_utf_8_are_written_readably(predictions, tiny_photos, tmp_path):
    photos = shutil.copytree(tiny_photos, tmp_path / "photos")
    for split in ("train", "validation", "test"):
        os.rename(photos / split / "circle", os.fsencode(photos / split) + b"/caf\xe9$")  # noqa: PTH104
    manifest = scan(photos).only("test")
    predictions.write(tmp_path / "predictions.csv", manifest)
    read = read_predictions(tmp_path)
    assert {one.label for one in read.values()} == {"caf\\udce9$", "square"}
    draw_confusion(predictions.pairs(2), manifest.classes, tmp_path / "confusion.png")
    assert (tmp_path / "confusion.png").stat().st_size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "give the folder of a training with a test split"),
        ("path,label,predicted,probability\n", "it is empty"),
        ("a,b\n1,2\n", "not the predictions of a training"),
    ],
)
def test_what_is_not_a_predictions_file_is_refused(tmp_path, text, message):
    if text is not None:
        (tmp_path / "predictions.csv").write_text(text)
    with pytest.raises(RecordError, match=message):
        read_predictions(tmp_path)
