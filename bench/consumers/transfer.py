"""A consumer that moves batches to the device and does nothing there."""

from __future__ import annotations

from feedbench.bench.errors import PlanError
from feedbench.loaders import Batch

DEVICE = "GPU:0"


class Transfer:
    """Copies each batch to the device by TensorFlow, from memory as the loader gives it."""

    def __init__(self, device: str = DEVICE) -> None:
        """Copy to a device by TensorFlow's name.

        Raises:
            PlanError: TensorFlow sees no such device.
        """
        import tensorflow as tf

        kind, number = device.split(":")
        if len(tf.config.list_logical_devices(kind)) <= int(number):
            raise PlanError(
                f"TensorFlow sees no {device}: the copy to it cannot be measured; install "
                "tensorflow[and-cuda], or train without it"
            )
        self._tf = tf
        self._device = device

    def step(self, batch: Batch) -> None:
        """Begin to copy; the device may still be at it on return."""
        with self._tf.device(self._device):
            self._tf.identity(self._tf.convert_to_tensor(batch.images))

    def finish(self) -> None:
        """Return when all is copied."""
        self._tf.test.experimental.sync_devices()
