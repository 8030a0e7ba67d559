"""Who may use the GPU: the backend that trains, not TensorFlow where it only reads images."""

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
