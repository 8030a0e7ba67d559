"""Which GPU trains, and who may use it: not TensorFlow where it only reads images."""

from __future__ import annotations


def leave_gpu_to_backend() -> None:
    """Hide GPUs from TensorFlow if another backend trains; to be called before a loader opens.

    TensorFlow would take nearly all memory of the GPU with its first operation.
    """
    import keras

    if keras.backend.backend() == "tensorflow":
        return
    import tensorflow as tf

    tf.config.set_visible_devices([], "GPU")


def only_gpu() -> str | None:
    """The name of the GPU, if TensorFlow trains and has exactly one; None otherwise."""
    import keras

    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    gpus = tf.config.list_logical_devices("GPU")
    return str(gpus[0].name) if len(gpus) == 1 else None
