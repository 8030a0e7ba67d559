"""The device that a training really computes on, as its framework tells it."""

from __future__ import annotations

from collections.abc import Sequence

from feedbench.trainer import device_count, is_of_cpu

CPU = "CPU"  # of `training_device`
_SEVERAL = 2


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


def several_text(devices: Sequence[str]) -> str:
    """Return how many devices train together, such as `2 GPUs`; empty for one.

    Args:
        devices: TensorFlow's names, such as `GPU:0`.
    """
    if len(devices) < _SEVERAL:
        return ""
    kind = "logical devices of the CPU" if devices[0].startswith(CPU) else "GPUs"
    return f"{len(devices)} {kind}"


def devices_option(devices: Sequence[str]) -> list[str]:
    """Return the option that has as many devices train together; empty for one."""
    if len(devices) < _SEVERAL:
        return []
    return ["--devices", f"{'cpu:' if devices[0].startswith(CPU) else ''}{len(devices)}"]


def names_of(devices: str) -> list[str]:
    """Return TensorFlow's names of the devices that the value of `--devices` stands for."""
    kind = CPU if is_of_cpu(devices) else "GPU"
    return [f"{kind}:{number}" for number in range(device_count(devices))]


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
