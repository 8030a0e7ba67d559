"""What a training writes: the best network, the last state, and no partial files."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from itertools import count
from typing import NamedTuple

import keras
import numpy as np
import pytest
from pydantic import ValidationError
from short_network import SHORT

from feedbench.trainer import NonFiniteLoss, Recipe, Trainer
from feedbench.trainer.checkpoint import CHECKPOINT, Position, read_checkpoint, write_checkpoint
from feedbench.trainer.errors import CheckpointError, LargeBatchError
from feedbench.trainer.loop import CheckpointPolicy, Length, TrainingStopped, fit
from feedbench.trainer.saved_model import read_facts

SIDE, BATCH = 32, 4


class Labelled(NamedTuple):
    images: np.ndarray
    labels: np.ndarray


class BatchWithRows(NamedTuple):
    images: np.ndarray
    labels: np.ndarray
    rows: np.ndarray


def noise(seed: int) -> Labelled:
    random = np.random.default_rng(seed)
    images = random.random((BATCH, SIDE, SIDE, 3), np.float32) * 2 - 1
    return Labelled(images, random.integers(0, 2, BATCH).astype(np.int32))


@pytest.fixture(scope="module")
def trainer(short_network) -> Trainer:
    return Trainer(
        Recipe(**SHORT, epochs=100),
        image_size=SIDE,
        batch_size=BATCH,
        classes=2,
        images=BATCH,
        scale=[2 / 255] * 3,
        offset=[-1.0] * 3,
        image_dtype="float32",
    )


def endless() -> Iterator[Labelled]:
    seed = 0
    while True:
        yield noise(seed := seed + 1)


def trained(trainer, folder, labels_of, *, images, epochs, parts=1, **options):
    """Epochs of a training whose validation labels depend on the network's own predictions."""
    held_out = noise(1_000).images

    @contextmanager
    def validation() -> Iterator[list[Labelled]]:
        predicted = trainer._network.predict(held_out, verbose=0).argmax(-1)
        yield [Labelled(held_out, labels_of(predicted).astype(np.int32))]

    return fit(
        trainer,
        endless(),
        length=Length(epochs, images, parts),
        validation=validation,
        checkpoints=CheckpointPolicy(folder, {"run": 1}, {"classes": ["no", "yes"]}),
        on_step=lambda step: None,
        **options,
    )


def test_the_best_network_survives_a_worse_epoch(trainer, tmp_path):
    right_then_wrong = iter([lambda predicted: predicted, lambda predicted: 1 - predicted])
    training = trained(
        trainer,
        tmp_path,
        lambda predicted: next(right_then_wrong)(predicted),
        images=BATCH,
        epochs=2,
    )
    assert next(training).validation_accuracy == 1
    probabilities = np.asarray(trainer._network(noise(7).images))
    assert next(training).validation_accuracy == 0
    list(training)
    best = keras.saving.load_model(tmp_path / "best.keras")
    assert np.allclose(best((noise(7).images + 1) * 127.5), probabilities, atol=1e-4)
    assert not np.allclose(trainer._network(noise(7).images), probabilities, atol=1e-4)
    assert read_facts(tmp_path / "best.keras") == {"classes": ["no", "yes"]}


def test_a_batch_that_is_larger_than_an_epoch_is_refused_at_once(trainer, tmp_path):
    """Later epochs would have no step, and no rate."""
    training = trained(trainer, tmp_path, lambda predicted: predicted, images=BATCH - 1, epochs=3)
    expected = f"a batch of {BATCH} images, more than the {BATCH - 1} of an epoch"
    with pytest.raises(LargeBatchError, match=expected):
        next(training)


def test_an_epoch_whose_validation_fails_is_not_lost(trainer, tmp_path):
    def fail(predicted):
        raise OSError("a held-out image is gone")

    with pytest.raises(OSError, match="is gone"):
        list(trained(trainer, tmp_path, fail, images=3 * BATCH, epochs=1))
    position, _, _ = read_checkpoint(tmp_path / CHECKPOINT)
    assert (position.epoch, position.step, position.epoch_images) == (1, 3, 3 * BATCH)


def test_a_run_resumed_from_a_checkpoint_takes_the_same_steps(trainer, tmp_path):
    (epoch,) = trained(
        trainer, tmp_path, lambda predicted: predicted, images=3 * BATCH, epochs=1, parts=3
    )
    assert len(epoch.part_rates) == 3
    assert epoch.part_rates[0] > 0
    position, values, identity = read_checkpoint(tmp_path / CHECKPOINT)
    assert (position.epoch, position.step, position.images) == (2, 3, 3 * BATCH)
    assert position.history == (epoch,)
    assert identity == {"run": 1}
    curves = []
    for _ in range(2):
        trainer.restore(0, position.phase_steps, values)
        trainer.start_epoch()
        for seed in range(4):
            trainer.step(noise(seed))
        curves.append(trainer.progress()["loss"])
    assert curves[0] == pytest.approx(curves[1], rel=1e-6)


@pytest.mark.parametrize("stopped_after", [5, 4], ids=["within an epoch", "before a validation"])
def test_the_first_epoch_of_each_process_is_marked(trainer, tmp_path, stopped_after):
    asked = count(1)  # after each of three steps, and in the validation after them
    length = {"images": 3 * BATCH, "epochs": 3}
    with pytest.raises(TrainingStopped):
        list(
            trained(
                trainer,
                tmp_path,
                lambda predicted: predicted,
                **length,
                stop=lambda: next(asked) == stopped_after,
            )
        )
    position, values, _ = read_checkpoint(tmp_path / CHECKPOINT)
    trainer.restore(position.phase, position.phase_steps, values)
    later = trained(trainer, tmp_path, lambda predicted: predicted, **length, start=position)
    epochs = [*position.history, *later]
    assert [epoch.first_of_process for epoch in epochs] == [True, True, False]
    assert read_checkpoint(tmp_path / CHECKPOINT)[0].history == tuple(epochs)


def test_captured_values_do_not_change_with_later_steps(trainer):
    captured = trainer.capture()
    before = [np.array(value) for value in captured]
    trainer.step(noise(1))
    trainer.finish()
    assert all(np.array_equal(a, b) for a, b in zip(captured, before, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(trainer.capture(), before, strict=True))


def test_a_full_disk_leaves_the_previous_checkpoint(tmp_path):
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


def test_an_unwritable_checkpoint_ends_the_training_with_one_line(trainer, tmp_path):
    (tmp_path / CHECKPOINT).mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(CheckpointError, match=r"checkpoint\.npz: .*--resume"):
        list(trained(trainer, tmp_path, lambda predicted: predicted, images=BATCH, epochs=1))


def test_a_truncated_checkpoint_is_named(tmp_path):
    path = tmp_path / CHECKPOINT
    with pytest.raises(CheckpointError, match="no checkpoint"):
        read_checkpoint(path)
    write_checkpoint(path, Position(), [np.ones(1000)], {})
    for left in (4000, 0):
        path.write_bytes(path.read_bytes()[:left])
        with pytest.raises(CheckpointError, match="not a Feedbench checkpoint"):
            read_checkpoint(path)


def test_a_flipped_bit_of_a_checkpoint_is_noticed(tmp_path):
    path = tmp_path / CHECKPOINT
    write_checkpoint(path, Position(), [np.ones(1000)], {})
    data = bytearray(path.read_bytes())
    data[4000] ^= 1
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="not a Feedbench checkpoint: Bad CRC-32"):
        read_checkpoint(path)


def test_a_loss_of_nan_names_the_step_and_its_rows(trainer, tmp_path):
    def poisoned() -> Iterator[BatchWithRows]:
        for step in range(100):
            batch = noise(step)
            images = batch.images * np.float32(np.nan if step == 4 else 1)
            yield BatchWithRows(images, batch.labels, np.arange(BATCH) + BATCH * step)

    values = trainer.capture()
    before = [np.array(value) for value in values]
    training = fit(
        trainer,
        poisoned(),
        length=Length(100, 3 * BATCH),
        validation=lambda: nullcontext([noise(9)]),
        checkpoints=CheckpointPolicy(tmp_path, steps=1),
        on_step=lambda step: None,
    )
    with pytest.raises(NonFiniteLoss, match="nan at step") as raised:
        list(training)
    assert (raised.value.epoch, raised.value.step) == (2, 4)
    assert raised.value.rows.tolist() == [16, 17, 18, 19]
    _, saved, _ = read_checkpoint(tmp_path / CHECKPOINT)
    assert all(np.isfinite(value).all() for value in saved)
    trainer.restore(0, 0, before)


def test_the_saved_network_applies_its_value_range_to_pixels(trainer, tmp_path):
    trainer.save(tmp_path / "model.keras")
    pixels = np.random.default_rng(0).integers(0, 256, (3, SIDE, SIDE, 3)).astype(np.float32)
    probabilities = keras.saving.load_model(tmp_path / "model.keras").predict(pixels, verbose=0)
    expected = trainer._network.predict(pixels / 127.5 - 1, verbose=0)
    assert probabilities.shape == (3, 2)
    assert np.allclose(probabilities, expected, atol=1e-5)


def test_a_model_that_cannot_be_written_leaves_no_partial_file(trainer, tmp_path):
    path = tmp_path / "model.keras"
    path.mkdir()  # a folder cannot be replaced by a file
    with pytest.raises(OSError, match=r"model\.keras"):
        trainer.save(path)
    assert list(tmp_path.iterdir()) == [path]


def test_loss_and_accuracy_start_again_with_each_epoch(trainer):
    trainer.start_epoch()
    trainer.step(noise(1))
    trainer.step(noise(2))
    first = trainer.progress()["loss"]
    trainer.start_epoch()
    trainer.step(noise(3))
    assert trainer.progress()["loss"] != first
    assert trainer._model.metrics[0].count == BATCH


def test_a_seed_that_keras_does_not_accept_is_refused():
    with pytest.raises(ValidationError, match="seed"):
        Recipe(seed=2**32)
