"""Write the metrics of each epoch for TensorBoard, and profiles a window of steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from feedbench.bench.errors import RecordError
from feedbench.bench.training.callbacks import Callbacks

if TYPE_CHECKING:
    from feedbench.trainer import Epoch, Step

LOGS = "tensorboard"


@contextmanager
def tensorboard(folder: Path, profile: tuple[int, int] | None) -> Iterator[Callbacks]:
    """Yield callbacks that write logs below a training's folder.

    Args:
        profile: first and last step to profile, counted from 1 in this process. Profiled steps are
            slower.

    Raises:
        RecordError: a log cannot be written.
    """
    import tensorflow as tf

    logs = str(folder / LOGS)
    with _written(logs):
        writer = tf.summary.create_file_writer(logs)

    def write_epoch(epoch: Epoch) -> None:
        with _written(logs), writer.as_default(step=epoch.epoch):
            for name, value in _scalars(epoch).items():
                _write_scalar(name, value)
            writer.flush()

    with _written(logs), writer.as_default(step=0):
        # The first scalar of a process is slow to write: better now than between two epochs.
        _write_scalar("epoch/learning_rate", 0.0)
    profiler = _Profiler(logs, profile)
    try:
        yield Callbacks(on_epoch=write_epoch, on_step=profiler.on_step)
    finally:
        with suppress(tf.errors.OpError):  # each epoch is flushed, and said if that failed
            writer.close()
        profiler.stop()


@contextmanager
def _written(logs: str) -> Iterator[None]:
    """Name the logs in an error of TensorFlow, such as that of a full disk."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.OpError as error:
        # Before the reason TensorFlow names its function, `{{...}}`, and the file.
        reason = str(error.message).splitlines()[0].rpartition("}} ")[2].rpartition("; ")[2]
        raise RecordError(
            f"{logs}: {reason}; free some space, or use --resume and --no-tensorboard"
        ) from error


def _write_scalar(name: str, value: float) -> None:
    """Do what `tf.summary.scalar` does, which requires the tensorboard package."""
    import tensorflow as tf

    metadata = tf.compat.v1.SummaryMetadata(
        plugin_data=tf.compat.v1.SummaryMetadata.PluginData(plugin_name="scalars")
    )
    metadata.data_class = 1  # DATA_CLASS_SCALAR in TensorFlow's summary.proto
    tf.summary.write(name, tf.constant(value, tf.float32), metadata=metadata)


def _scalars(epoch: Epoch) -> dict[str, float]:
    return {
        "loss/train": epoch.loss,
        "loss/validation": epoch.validation_loss,
        "accuracy/train": epoch.accuracy,
        "accuracy/validation": epoch.validation_accuracy,
        "epoch/learning_rate": epoch.learning_rate,
        "epoch/images_per_second": epoch.images_per_second,
        "epoch/wait_share": epoch.wait_s / epoch.train_s,
        **{f"metrics/{name}": value for name, value in epoch.metrics.items()},
    }


class _Profiler:
    """Runs TensorFlow's profiler from the first to the last step of a window."""

    def __init__(self, logs: str, window: tuple[int, int] | None) -> None:
        self._logs = logs
        self._window = window
        self._steps_done = 0
        self._running = False
        self._start_if_next(1)

    def on_step(self, step: Step) -> None:
        """Start or stop the profiler after a step."""
        if self._window is None:
            return
        self._steps_done += 1
        if self._steps_done >= self._window[1]:
            self.stop()
        else:
            self._start_if_next(self._steps_done + 1)

    def _start_if_next(self, step: int) -> None:
        if self._window is None or step != self._window[0]:
            return
        import tensorflow as tf

        tf.profiler.experimental.start(self._logs)
        self._running = True

    def stop(self) -> None:
        """Stop the profiler if it is running."""
        if not self._running:
            return
        import tensorflow as tf

        self._running = False
        self._window = None
        with _written(self._logs):
            tf.profiler.experimental.stop()
