"""A consumer that copies batches to a device and does nothing else."""

from __future__ import annotations

from feedbench.bench.errors import PlanError
from feedbench.loaders import Batch, arrays_in
from feedbench.trainer import as_tensor

DEVICE = "GPU:0"


class Transfer:
    """Copies the images of each batch to a TensorFlow device."""

    def __init__(self, device: str = DEVICE) -> None:
        """Choose the device.

        Args:
            device: name as in TensorFlow, such as `GPU:0`.

        Raises:
            PlanError: TensorFlow does not find the device.
        """
        import tensorflow as tf

        kind, number = device.split(":")
        if len(tf.config.list_logical_devices(kind)) <= int(number):
            raise PlanError(
                f"TensorFlow does not find {device}, so copies to it cannot be measured; install "
                "tensorflow[and-cuda], or train without it"
            )
        self._tf = tf
        self._device = device

    def step(self, batch: Batch) -> None:
        """Start to copy; the copy may still run on return."""
        with self._tf.device(self._device):
            for images in arrays_in(batch.images):
                self._tf.identity(self._tf.convert_to_tensor(as_tensor(images)))

    def finish(self) -> None:
        """Wait until all copies have finished."""
        self._tf.test.experimental.sync_devices()
