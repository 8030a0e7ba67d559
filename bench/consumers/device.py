"""The device that a training really computes on, as its framework tells it."""

from __future__ import annotations

CPU = "CPU"  # of `training_device`


def training_device(backend: str | None = None) -> str:
    """Return the name of the first GPU that a framework computes on, or `CPU`.

    Args:
        backend: of Keras; None for the one that is set.
    """
    import keras

    name = backend or keras.backend.backend()
    if name == "jax":
        return _of_jax()
    return _of_torch() if name == "torch" else _of_tensorflow()


def _of_tensorflow() -> str:
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU")[:1]:
        return str(tf.config.experimental.get_device_details(gpu).get("device_name", "GPU"))
    return CPU


def _of_jax() -> str:
    import jax

    device = jax.devices()[0]
    return CPU if device.platform == "cpu" else str(device.device_kind)


def _of_torch() -> str:
    import torch

    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else CPU
