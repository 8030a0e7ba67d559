"""A training that was interrupted is shown and reported by its complete epochs."""

import math

import pytest

from feedbench.bench.analysis.best import Best
from feedbench.bench.errors import RecordError
from feedbench.bench.html.kinds import report_of
from feedbench.bench.results.find import read_result
from feedbench.bench.training.folder import write_config
from feedbench.loaders import BatchSpec
from feedbench.trainer import HISTORY, Recipe
from feedbench.trainer.history import Epoch, write_history


def epoch(number: int, **values) -> Epoch:
    measured = {
        "epoch": number,
        "images": 400,
        "train_s": 2.0,
        "wait_s": 0.5,
        "learning_rate": 0.1,
        "loss": 1.25,
        "accuracy": 0.5,
        "validation_loss": 1.5,
        "validation_accuracy": 0.25,
    }
    return Epoch(**{**measured, **values})


@pytest.fixture
def folder(tmp_path):
    """The folder of a training before its first epoch is complete."""
    spec = BatchSpec(batch_size=8).model_dump(mode="json", exclude_none=True)
    best = Best(loader="turbo", spec=spec)
    write_config(tmp_path, best, Recipe(epochs=5))
    return tmp_path


def test_complete_epochs_are_read_as_from_a_training_json(folder):
    history = [epoch(1, metrics={"recall": 0.75}), epoch(2, accuracy=math.nan, loss=math.inf)]
    write_history(history, folder / HISTORY)
    result = read_result(folder)
    first, second = result.values["epochs"]
    assert (first["epoch"], first["images"], first["loss"]) == (1, 400, 1.25)
    assert first["metrics"] == {"recall": 0.75}
    assert second["accuracy"] is second["loss"] is None
    assert result.is_measured
    text = result.values["promise"]["text"]
    assert text.startswith("Not finished: complete epochs: 2 of 5. To resume: feedbench train DATA")
    assert str(folder) in text


def test_a_training_without_a_complete_epoch_says_so(folder):
    result = read_result(folder)
    assert not result.is_measured
    assert "complete epochs: 0 of 5" in result.values["promise"]["text"]


@pytest.mark.parametrize("epochs", [0, 1, 3])
def test_a_report_takes_it(folder, epochs):
    write_history([epoch(number + 1) for number in range(epochs)], folder / HISTORY)
    report = report_of(read_result(folder))
    assert f"complete epochs: {epochs} of 5" in report.headline.sentence


@pytest.mark.parametrize("values", [{"images": 0}, {"train_s": 0.0}, {"train_s": math.nan}])
def test_an_epoch_without_a_rate_is_refused_in_one_line(folder, values):
    write_history([epoch(1), epoch(2, **values)], folder / HISTORY)
    (name,) = values
    wrong = rf"history\.csv: not the history of a training: {name}: input should be"
    with pytest.raises(RecordError, match=wrong):
        read_result(folder)


def test_a_damaged_history_is_one_line(folder):
    (folder / HISTORY).write_text("epoch,images\n1,many\n")
    with pytest.raises(RecordError, match=r"history\.csv: not the history of a training"):
        read_result(folder)
