"""What a training leaves behind: the best network, the last state, and nothing half written."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import NamedTuple

import keras
import numpy as np
import pytest
from pydantic import ValidationError

from feedbench.trainer import Recipe
from feedbench.trainer.checkpoint import CHECKPOINT, Position, read_checkpoint, write_checkpoint
from feedbench.trainer.errors import CheckpointError
from feedbench.trainer.fit import Keeping, fit
from feedbench.trainer.saved_model import read_facts
from feedbench.trainer.step import Diverged, Trainer

SIDE, BATCH = 32, 4


class Fed(NamedTuple):
    images: np.ndarray
    labels: np.ndarray


class FedRows(NamedTuple):
    images: np.ndarray
    labels: np.ndarray
    rows: np.ndarray


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
        scale=[2 / 255] * 3,
        offset=[-1.0] * 3,
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
        keeping=Keeping(folder, {"run": 1}, {"classes": ["no", "yes"]}),
        on_step=lambda step: None,
    )


def test_the_best_network_is_kept_when_later_ones_are_worse(trainer, tmp_path):
    right_then_wrong = iter([lambda said: said, lambda said: 1 - said])
    training = trained(
        trainer, tmp_path, lambda said: next(right_then_wrong)(said), images=BATCH, epochs=2
    )
    assert next(training).validation_accuracy == 1
    said = np.asarray(trainer._network(noise(7).images))
    assert next(training).validation_accuracy == 0
    list(training)
    best = keras.saving.load_model(tmp_path / "best.keras")
    assert np.allclose(best((noise(7).images + 1) * 127.5), said, atol=1e-4)
    assert not np.allclose(trainer._network(noise(7).images), said, atol=1e-4)
    assert read_facts(tmp_path / "best.keras") == {"classes": ["no", "yes"]}


def test_a_checkpoint_holds_all_that_the_next_step_depends_on(trainer, tmp_path):
    (done,) = trained(trainer, tmp_path, lambda said: said, images=3 * BATCH, epochs=1)
    position, values, of = read_checkpoint(tmp_path / CHECKPOINT)
    assert (position.epoch, position.step, position.images) == (2, 3, 3 * BATCH)
    assert position.history == (done,)
    assert of == {"run": 1}
    curves = []
    for _ in range(2):
        trainer.restore(0, position.phase_steps, values)
        trainer.start_epoch()
        for seed in range(4):
            trainer.step(noise(seed))
        curves.append(trainer.progress()["loss"])
    assert curves[0] == pytest.approx(curves[1], rel=1e-6)


def test_values_that_were_captured_stay_as_they_were(trainer):
    captured = trainer.capture()
    before = [np.array(value) for value in captured]
    trainer.step(noise(1))
    trainer.finish()
    assert all(np.array_equal(a, b) for a, b in zip(captured, before, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(trainer.capture(), before, strict=True))


def test_a_full_disk_leaves_the_older_checkpoint(tmp_path):
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, Position(step=1), [np.ones(1000)], {})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError, match="too large"):
            write_checkpoint(path, Position(step=2), [np.ones(100_000)], {})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert read_checkpoint(path)[0].step == 1
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_ends_the_training_in_one_line(trainer, tmp_path):
    (tmp_path / CHECKPOINT).mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(CheckpointError, match=r"checkpoint\.npz: .*--resume"):
        list(trained(trainer, tmp_path, lambda said: said, images=BATCH, epochs=1))


def test_a_broken_checkpoint_is_named(tmp_path):
    path = tmp_path / CHECKPOINT
    with pytest.raises(CheckpointError, match="no checkpoint"):
        read_checkpoint(path)
    write_checkpoint(path, Position(), [np.ones(1000)], {})
    path.write_bytes(path.read_bytes()[:4000])
    with pytest.raises(CheckpointError, match="not a checkpoint"):
        read_checkpoint(path)


def test_a_loss_that_is_no_number_names_the_step_and_its_rows(trainer, tmp_path):
    def poisoned() -> Iterator[FedRows]:
        for step in range(100):
            batch = noise(step)
            images = batch.images * np.float32(np.nan if step == 4 else 1)
            yield FedRows(images, batch.labels, np.arange(BATCH) + BATCH * step)

    values = trainer.capture()
    kept = [np.array(value) for value in values]
    training = fit(
        trainer,
        poisoned(),
        images=3 * BATCH,
        epochs=100,
        validation=lambda: nullcontext([noise(9)]),
        keeping=Keeping(tmp_path, steps=1),
        on_step=lambda step: None,
    )
    with pytest.raises(Diverged, match="nan at step") as raised:
        list(training)
    assert (raised.value.epoch, raised.value.step) == (2, 4)
    assert raised.value.rows.tolist() == [16, 17, 18, 19]
    _, saved, _ = read_checkpoint(tmp_path / CHECKPOINT)
    assert all(np.isfinite(value).all() for value in saved)
    trainer.restore(0, 0, kept)


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
