"""TensorBoard finds every scalar of an epoch, and the profiler's window where it was asked for."""

from types import SimpleNamespace

from feedbench.bench.training.tensorboard import LOGS, tensorboard


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
    )


def scalars(folder) -> dict[tuple[str, int], float]:
    import tensorflow as tf

    found = {}
    for path in sorted((folder / LOGS).glob("events.*")):
        for record in tf.data.TFRecordDataset(str(path)):
            event = tf.compat.v1.Event.FromString(record.numpy())
            for value in event.summary.value:
                assert value.metadata.plugin_data.plugin_name == "scalars"
                found[value.tag, event.step] = float(tf.make_ndarray(value.tensor))
    return found


def test_every_scalar_of_an_epoch_is_written_at_its_step(tmp_path):
    with tensorboard(tmp_path, None) as (on_epoch, on_step):
        for number in (1, 2):
            on_epoch(epoch(number))
            on_step(None)
    found = scalars(tmp_path)
    assert {step for _, step in found} == {0, 1, 2}
    assert (found["loss/train", 1], found["loss/train", 2]) == (2.0, 1.0)
    assert (found["accuracy/train", 2], found["accuracy/validation", 2]) == (0.5, 0.5)
    assert found["epoch/wait_share", 1] == 0.25
    assert len({tag for tag, step in found if step == 1}) == 7


def test_the_profiler_records_its_window_and_nothing_without_one(tmp_path):
    for name, window in (("with", (2, 3)), ("without", None)):
        with tensorboard(tmp_path / name, window) as (_, on_step):
            for _ in range(4):
                on_step(None)
    assert list((tmp_path / "with" / LOGS).rglob("*.xplane.pb"))
    assert not list((tmp_path / "without" / LOGS).rglob("*.xplane.pb"))


def test_a_training_that_ends_within_the_window_ends_the_profile(tmp_path):
    for _ in range(2):  # a profile that was left open would make the second one fail
        with tensorboard(tmp_path, (1, 100)) as (_, on_step):
            on_step(None)
