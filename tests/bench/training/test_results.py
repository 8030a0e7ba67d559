"""What a finished training cannot write is one line, and the training can be resumed."""

import resource
from types import SimpleNamespace

import keras
import pytest

from feedbench.bench.training.results import save_network
from feedbench.trainer import CheckpointError
from feedbench.trainer.saved_model import save_model


@pytest.mark.parametrize("left", [0, 4000], ids=["full at once", "full later"])
def test_a_network_that_a_full_disk_does_not_take_is_in_the_checkpoint(tmp_path, left):
    network = keras.Sequential([keras.Input((100,)), keras.layers.Dense(100)])
    trainer = SimpleNamespace(save=lambda path, facts: save_model(network, path, facts))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (left, hard))
    try:
        with pytest.raises(CheckpointError, match=r"model\.keras: File too large; .*--resume"):
            save_network(trainer, tmp_path / "model.keras", {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert list(tmp_path.iterdir()) == []
