"""What a training leaves behind: the best network, the last state, and nothing half written."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from trainer import Recipe
from trainer.fit import fit
from trainer.step import Trainer

SIDE, BATCH = 32, 4


class Fed(NamedTuple):
    images: np.ndarray
    labels: np.ndarray


def noise(seed: int) -> Fed:
    random = np.random.default_rng(seed)
    images = random.random((BATCH, SIDE, SIDE, 3), np.float32) * 2 - 1
    return Fed(images, random.integers(0, 2, BATCH).astype(np.int32))


@pytest.fixture(scope="module")
def trainer() -> Trainer:
    return Trainer(
        Recipe(alpha=0.35, epochs=100),
        image_size=SIDE,
        batch_size=BATCH,
        classes=2,
        images=BATCH,
        value_range=(-1, 1),
        image_dtype="float32",
    )


def endless() -> Iterator[Fed]:
    seed = 0
    while True:
        yield noise(seed := seed + 1)


def trained(trainer, folder, labels_of, *, images, epochs):
    """Epochs of a training whose validation labels are made from what the network says."""
    held_out = noise(1_000).images

    @contextmanager
    def validation() -> Iterator[list[Fed]]:
        said = trainer._network.predict(held_out, verbose=0).argmax(-1)
        yield [Fed(held_out, labels_of(said).astype(np.int32))]

    return fit(
        trainer,
        endless(),
        images=images,
        epochs=epochs,
        validation=validation,
        folder=folder,
        on_step=lambda images: None,
    )


def test_the_best_network_is_kept_when_later_ones_are_worse(trainer, tmp_path):
    right_then_wrong = iter([lambda said: said, lambda said: 1 - said])
    training = trained(
        trainer, tmp_path, lambda said: next(right_then_wrong)(said), images=BATCH, epochs=2
    )
    assert next(training).validation_accuracy == 1
    best = (tmp_path / "best.keras").read_bytes()
    last = (tmp_path / "last.keras").read_bytes()
    assert next(training).validation_accuracy == 0
    assert (tmp_path / "best.keras").read_bytes() == best
    assert (tmp_path / "last.keras").read_bytes() != last


def test_the_last_checkpoint_holds_network_and_optimizer(trainer, tmp_path):
    list(trained(trainer, tmp_path, lambda said: said, images=3 * BATCH, epochs=1))
    loaded = keras.saving.load_model(tmp_path / "last.keras")
    steps = int(trainer._model.optimizer.iterations)
    assert int(loaded.optimizer.iterations) == steps >= 3
    images = noise(7).images
    assert np.allclose(
        loaded.predict(images, verbose=0), trainer._model.predict(images, verbose=0), atol=1e-5
    )


def test_the_saved_network_brings_pixels_into_its_own_range(trainer, tmp_path):
    trainer.save(tmp_path / "model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3)).astype(np.float32)
    given = keras.saving.load_model(tmp_path / "model.keras").predict(pixels, verbose=0)
    expected = trainer._network.predict(pixels / 127.5 - 1, verbose=0)
    assert given.shape == (3, 2)
    assert np.allclose(given, expected, atol=1e-5)


def test_a_checkpoint_that_cannot_be_written_leaves_the_older_one(trainer, tmp_path):
    path = tmp_path / "model.keras"
    path.mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(OSError, match=r"model\.keras"):
        trainer.save(path)
    assert list(tmp_path.iterdir()) == [path]


def test_figures_are_of_one_epoch_alone(trainer):
    trainer.start_epoch()
    trainer.step(noise(1))
    trainer.step(noise(2))
    first = trainer.progress()["loss"]
    trainer.start_epoch()
    trainer.step(noise(3))
    assert trainer.progress()["loss"] != first
    assert trainer._model.metrics[0].count == BATCH


def test_a_recipe_refuses_a_seed_that_keras_cannot_take():
    with pytest.raises(ValidationError, match="seed"):
        Recipe(seed=2**32)
