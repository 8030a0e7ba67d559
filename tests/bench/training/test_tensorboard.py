"""Scalars of each epoch, and the profile of a window of steps, are written for TensorBoard."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from feedbench.bench.errors import RecordError
from feedbench.bench.training.tensorboard import LOGS, tensorboard
from feedbench.trainer.loop import Step

STEP = Step(8, 0.01, {})


def epoch(number: int) -> SimpleNamespace:
    return SimpleNamespace(
        epoch=number,
        loss=2.0 / number,
        accuracy=0.25 * number,
        validation_loss=3.0,
        validation_accuracy=0.5,
        learning_rate=0.1,
        images_per_second=100.0,
        wait_s=1.0,
        train_s=4.0,
        metrics={"recall": 0.75},
    )


def scalars(folder) -> dict[tuple[str, int], float]:
    import tensorflow as tf

    values = {}
    for path in sorted((folder / LOGS).glob("events.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                values[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    return values


def test_every_scalar_of_an_epoch_is_written_at_its_step(tmp_path):
    with tensorboard(tmp_path, None) as callbacks:
        for number in (1, 2):
            callbacks.on_epoch(epoch(number))
            callbacks.on_step(STEP)
    written = scalars(tmp_path)
    assert {step for _, step in written} == {0, 1, 2}
    assert (written["loss/train", 1], written["loss/train", 2]) == (2.0, 1.0)
    assert (written["accuracy/train", 2], written["accuracy/validation", 2]) == (0.5, 0.5)
    assert (written["epoch/wait_share", 1], written["metrics/recall", 1]) == (0.25, 0.75)
    assert len({tag for tag, step in written if step == 1}) == 8


@contextmanager
def full_disk() -> Iterator[None]:
    """No file takes another byte in the body."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_is_one_line(tmp_path):
    with (
        full_disk(),
        pytest.raises(RecordError) as raised,
        tensorboard(tmp_path, None) as callbacks,
    ):
        callbacks.on_epoch(epoch(1))
    assert str(raised.value) == (
        f"{tmp_path / LOGS}: File too large; free some space, or use --resume and --no-tensorboard"
    )


def test_a_profile_is_written_only_if_steps_are_given(tmp_path):
    for name, window in (("with", (2, 3)), ("without", None)):
        with tensorboard(tmp_path / name, window) as callbacks:
            for _ in range(4):
                callbacks.on_step(STEP)
    assert list((tmp_path / "with" / LOGS).rglob("*.xplane.pb"))
    assert not list((tmp_path / "without" / LOGS).rglob("*.xplane.pb"))


def test_the_profile_ends_with_the_training(tmp_path):
    for _ in range(2):  # the second start would fail if a profile were still running
        with tensorboard(tmp_path, (1, 100)) as callbacks:
            callbacks.on_step(STEP)
