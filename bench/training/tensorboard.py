"""The training's figures as TensorBoard reads them, and a window of steps for its profiler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

LOGS = "tensorboard"
Window = tuple[int, int]
Watch = tuple[Callable[[Any], None], Callable[[Any], None]]


@contextmanager
def tensorboard(folder: Path, profile: Window | None) -> Iterator[Watch]:
    """Gives what to call with each epoch and with each step.

    Args:
        folder: of the run; logs go below it.
        profile: first and last step to profile, counted from 1 in this process; costs time in
            those steps.
    """
    import tensorflow as tf

    writer = tf.summary.create_file_writer(str(folder / LOGS))

    def on_epoch(epoch: Any) -> None:
        with writer.as_default(step=epoch.epoch):
            for name, value in _figures(epoch).items():
                _write_scalar(name, value)
        writer.flush()

    with writer.as_default(step=0):
        # The first scalar of a process is slow: better now than between two epochs.
        _write_scalar("epoch/learning_rate", 0.0)
    profiler = _Profiler(str(folder / LOGS), profile)
    try:
        yield on_epoch, profiler.on_step
    finally:
        profiler.stop()
        writer.close()


def _write_scalar(name: str, value: float) -> None:
    """What `tf.summary.scalar` writes; that itself needs the tensorboard package."""
    import tensorflow as tf

    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    )
    metadata.data_class = 1  # DATA_CLASS_SCALAR in TensorFlow's summary.proto
    tf.summary.write(name, tf.constant(value, tf.float32), metadata=metadata)


def _figures(epoch: Any) -> dict[str, float]:
    return {
        "loss/train": epoch.loss,
        "loss/validation": epoch.validation_loss,
        "accuracy/train": epoch.accuracy,
        "accuracy/validation": epoch.validation_accuracy,
        "epoch/learning_rate": epoch.learning_rate,
        "epoch/images_per_second": epoch.images_per_second,
        "epoch/wait_share": epoch.wait_s / epoch.train_s,
    }


class _Profiler:
    """Starts and stops TensorFlow's profiler around a window of steps."""

    def __init__(self, logs: str, window: Window | None) -> None:
        self._logs = logs
        self._window = window
        self._done = 0
        self._running = False
        self._start_before(1)

    def on_step(self, step: Any) -> None:
        """Called after each step."""
        if self._window is None:
            return
        self._done += 1
        if self._done >= self._window[1]:
            self.stop()
        else:
            self._start_before(self._done + 1)

    def _start_before(self, step: int) -> None:
        if self._window is None or step != self._window[0]:
            return
        import tensorflow as tf

        tf.profiler.experimental.start(self._logs)
        self._running = True

    def stop(self) -> None:
        """End the window, if it is open."""
        if not self._running:
            return
        import tensorflow as tf

        self._running = False
        self._window = None
        tf.profiler.experimental.stop()
