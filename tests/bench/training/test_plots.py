"""Learning curves and the confusion matrix contain the colours of their data."""

from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest

from feedbench.bench.training.plots import draw_confusion, draw_curves
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
BLUE, ORANGE = (0x1F, 0x77, 0xB4), (0xFF, 0x7F, 0x0E)  # matplotlib's first two colours


def pixels_of(path, colour) -> int:
    image = matplotlib.image.imread(path)[..., :3]
    return int((np.abs(image - np.array(colour) / 255).max(axis=-1) < 0.02).sum())


def test_curves_of_training_and_validation_are_both_drawn(tmp_path):
    epochs = [EPOCH, replace(EPOCH, epoch=2, loss=1.0, validation_loss=2.0)]
    draw_curves(epochs, tmp_path / "curves.png")
    assert pixels_of(tmp_path / "curves.png", BLUE) > 500
    assert pixels_of(tmp_path / "curves.png", ORANGE) > 500


def test_a_perfect_confusion_matrix_is_darkest_on_its_diagonal(tmp_path):
    """The darkest blue is a fraction of 1, in two of four fields."""
    darkest = (8, 48, 107)
    for name, confusion in (("right", [[8, 0], [0, 3]]), ("guessed", [[4, 4], [4, 4]])):
        draw_confusion(np.array(confusion), ["a", "b"], tmp_path / f"{name}.png")
    bar = pixels_of(tmp_path / "guessed.png", darkest)  # only in the colour bar
    assert pixels_of(tmp_path / "right.png", darkest) > bar + 5_000


@pytest.mark.parametrize(("classes", "numbered"), [(30, True), (31, False)])
def test_fields_are_numbered_as_long_as_the_numbers_can_be_read(tmp_path, classes, numbered):
    names = [str(number) for number in range(classes)]
    for count in (1, 9):  # the same shares: only a number tells them apart
        draw_confusion(count * np.eye(classes, dtype=np.int64), names, tmp_path / f"{count}.png")
    same = (tmp_path / "1.png").read_bytes() == (tmp_path / "9.png").read_bytes()
    assert same is not numbered
