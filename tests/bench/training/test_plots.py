"""Learning curves and the confusion matrix say what they show, and nothing is cut."""

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from feedbench.bench.training.class_pairs import ClassPairs
from feedbench.bench.training.confusion import draw_confusion
from feedbench.bench.training.plots import best_epoch, draw_curves
from feedbench.trainer.history import Epoch

EPOCH = Epoch(
    epoch=1,
    images=10,
    train_s=1.0,
    wait_s=0.1,
    learning_rate=0.1,
    loss=2.0,
    accuracy=0.3,
    validation_loss=2.5,
    validation_accuracy=0.2,
)


def epochs(*losses: float) -> list[Epoch]:
    return [
        replace(EPOCH, epoch=number, loss=loss, validation_loss=loss)
        for number, loss in enumerate(losses, 1)
    ]


def pairs_of(matrix: np.ndarray) -> ClassPairs:
    """The pairs of a confusion matrix."""
    true, predicted = np.nonzero(matrix)
    return ClassPairs(len(matrix), true, predicted, matrix[true, predicted])


def test_the_title_has_the_best_epoch_and_the_test_accuracy(tmp_path, pictures):
    some = epochs(2.0, 1.5, 1.0)
    some[1] = replace(some[1], validation_accuracy=0.7)
    draw_curves(some, tmp_path / "a.png", test_accuracy=0.665, subject="MobileNetV2")
    (figure,) = pictures.saved
    texts = pictures.texts(figure)
    assert texts[0] == "Validation accuracy peaks at 70.0% in epoch 2 of 3; test accuracy 66.5%"
    assert {"loss", "accuracy", "training 30.0%", "validation 20.0%", "MobileNetV2"} <= set(texts)
    assert pictures.faults(figure) == []


def test_a_loss_that_spans_a_decade_is_logarithmic(tmp_path, pictures):
    for losses in ((30.0, 2.0, 1.0), (3.0, 2.0, 1.0)):
        draw_curves(epochs(*losses), tmp_path / "a.png")
    scales = [figure.axes[0].get_yscale() for figure in pictures.saved]
    assert scales == ["log", "linear"]
    assert "loss, logarithmic" in pictures.texts(pictures.saved[0])
    assert "10" in pictures.texts(pictures.saved[0])


def test_a_model_without_an_accuracy_has_only_its_loss_drawn(tmp_path, pictures):
    unknown = {"accuracy": math.nan, "validation_accuracy": math.nan}
    some = [replace(one, **unknown) for one in epochs(2.0, math.nan, 1.0, 1.5)]
    draw_curves(some, tmp_path / "a.svg")
    (figure,) = pictures.saved
    assert len(figure.axes) == 1
    assert pictures.texts(figure)[0] == "The validation loss is lowest in epoch 3: 1.000"
    assert best_epoch(some).epoch == 3


def test_one_epoch_is_drawn_as_points(tmp_path, pictures):
    draw_curves([EPOCH], tmp_path / "a.png")
    assert pictures.saved[0].axes[0].lines[0].get_marker() == "o"
    assert pictures.faults(pictures.saved[0]) == []


def test_the_title_names_the_most_confused_classes(tmp_path, pictures):
    confusion = pairs_of(np.array([[8, 2, 0], [0, 3, 5], [0, 0, 0]]))
    assert confusion.most_confused(5) == [(1, 2, 5), (0, 1, 2)]
    draw_confusion(confusion, ["hat", "shirt", "t-shirt"], tmp_path / "a.png")
    texts = pictures.texts(pictures.saved[0])
    assert texts[:2] == [
        "Most confused: 5 of 8 shirt taken for t-shirt",
        "Test accuracy 61.1%: 11 of 18 images",
    ]
    assert {"true class", "predicted class", "fraction of the true class", "8"} <= set(texts)


@pytest.mark.parametrize("classes", [2, 30, 31, 60])
def test_names_of_any_length_and_script_are_neither_cut_nor_overlap(tmp_path, classes, pictures):
    names = [
        f"{'a very long name ' * (i % 3)}{'Привет $x$' if i % 2 else 'b'} {i}"
        for i in range(classes)
    ]
    confusion = np.eye(classes, dtype=np.int64) * 5 + np.eye(classes, k=1, dtype=np.int64)
    draw_confusion(pairs_of(confusion), names, tmp_path / "a.png")
    (figure,) = pictures.saved
    assert pictures.faults(figure) == []
    texts = pictures.texts(figure)
    assert ("Most confused: true class → predicted class" in texts) is (classes > 30)
    assert ("5" in texts) is (classes <= 30)


def test_names_that_no_font_can_draw_become_numbers(tmp_path, pictures):
    draw_confusion(pairs_of(np.eye(2, dtype=np.int64)), ["\U00012000", "b"], tmp_path / "a.png")
    texts = pictures.texts(pictures.saved[0])
    assert texts.count("class 0") == 2
    assert "numbered from 0" in " ".join(texts)


def test_a_thousand_classes_have_no_names_beside_the_matrix(tmp_path, pictures):
    names = list(map(str, range(1000)))
    draw_confusion(pairs_of(np.eye(1000, dtype=np.int64)), names, tmp_path / "a.png")
    texts = pictures.texts(pictures.saved[0])
    assert texts[0] == "Every test image is recognized"
    assert "999" not in texts


def test_20_000_classes_are_drawn_in_the_memory_of_their_images(tmp_path, pictures):
    classes = 21_841
    random = np.random.default_rng(0)
    true, predicted = random.integers(0, classes, (2, 10_000))
    names = [f"class {number}" for number in range(classes)]
    tracemalloc.start()
    pairs = ClassPairs.of(true, predicted, classes)
    draw_confusion(pairs, names, tmp_path / "a.png")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 100e6  # a matrix of all pairs takes 3.8 GB
    assert "true class, 31 to a cell" in pictures.texts(pictures.saved[0])


def test_a_cell_of_several_classes_has_the_images_of_all_of_them():
    pairs = ClassPairs.of(np.array([0, 1, 4]), np.array([1, 0, 0]), 5)
    assert pairs.matrix(3).tolist() == [[2, 0, 0], [0, 0, 0], [1, 0, 0]]
    assert pairs.matrix(5).sum() == 3
