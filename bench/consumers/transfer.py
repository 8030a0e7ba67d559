"""A consumer that copies batches to one device or several and does nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from feedbench.bench.errors import PlanError
from feedbench.loaders import Batch, arrays_in
from feedbench.trainer import as_tensor

DEVICE = "GPU:0"


class Transfer:
    """Copies the images of each batch to TensorFlow's devices, to each an equal part."""

    def __init__(self, devices: Sequence[str] = (DEVICE,)) -> None:
        """Choose the devices.

        Args:
            devices: names as in TensorFlow, such as `GPU:0`.

        Raises:
            PlanError: TensorFlow does not find a device.
        """
        import tensorflow as tf

        for device in devices:
            kind, number = device.split(":")
            if len(tf.config.list_logical_devices(kind)) <= int(number):
                raise PlanError(
                    f"TensorFlow does not find {device}, so copies to it cannot be measured; "
                    "install tensorflow[and-cuda], or train without it"
                )
        self._tf = tf
        self._devices = devices

    def step(self, batch: Batch) -> None:
        """Start to copy; the copy may still run on return."""
        for images in arrays_in(batch.images):
            for device, part in zip(self._devices, self._divided(images), strict=True):
                with self._tf.device(device):
                    self._tf.identity(self._tf.convert_to_tensor(part))

    def _divided(self, images: Any) -> list[Any]:
        """The parts of a batch, one for each device."""
        whole, count = as_tensor(images), len(self._devices)
        if count == 1:
            return [whole]
        bounds = [len(images) * number // count for number in range(count + 1)]
        with self._tf.device("CPU"):
            return [whole[begin:end] for begin, end in pairwise(bounds)]

    def finish(self) -> None:
        """Wait until all copies have finished."""
        self._tf.test.experimental.sync_devices()
