"""What a finished training cannot write is one line, and the training can be resumed."""

import math
import resource
from collections.abc import Iterator
from contextlib import contextmanager

import keras
import pytest

from feedbench.bench.files import write_json
from feedbench.bench.training.results import _known, resumable
from feedbench.trainer import CheckpointError
from feedbench.trainer.saved_model import save_model


@contextmanager
def full_disk(left: int) -> Iterator[None]:
    """No file takes more than so many bytes in the body."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


REMEDY = (
    "File too large; the last checkpoint is intact: make files writable there, and use --resume"
)


@pytest.mark.parametrize("left", [0, 4000], ids=["full at once", "full later"])
def test_a_network_that_a_full_disk_does_not_take_can_be_saved_later(tmp_path, left):
    network = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100)])
    with pytest.raises(CheckpointError) as raised, full_disk(left), resumable(tmp_path):
        save_model(network, tmp_path / "model.keras", {})
    assert str(raised.value) == f"{tmp_path}: {REMEDY}"
    assert list(tmp_path.iterdir()) == []


def test_a_result_that_a_full_disk_does_not_take_can_be_written_later(tmp_path):
    path = tmp_path / "training.json"
    with pytest.raises(CheckpointError) as raised, full_disk(0), resumable(tmp_path):
        write_json(path, {"epochs": []})
    assert str(raised.value) == f"{path}: {REMEDY}"


def test_numbers_that_json_lacks_are_unknown_also_among_the_metrics_of_an_own_model():
    epoch = {"epoch": 1, "loss": math.inf, "accuracy": 0.5, "metrics": {"auc": math.nan}}
    assert _known(epoch) == {"epoch": 1, "loss": None, "accuracy": 0.5, "metrics": {"auc": None}}
