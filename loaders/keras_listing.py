"""Keras' own dataset of a folder, and the shuffle that it gives its files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from feedbench.loaders.errors import SourceError
from feedbench.loaders.order import Rows
from feedbench.loaders.spec import BatchSpec

if TYPE_CHECKING:
    import tensorflow as tf


def keras_dataset(folder: Path, spec: BatchSpec) -> tf.data.Dataset:
    """Keras' dataset of a folder, elements `(images, labels)`.

    Raises:
        SourceError: Keras refuses the folder.
    """
    from keras.utils import image_dataset_from_directory

    try:
        return image_dataset_from_directory(
            folder,
            batch_size=spec.batch_size,
            image_size=(spec.image_size, spec.image_size),
            shuffle=spec.shuffle,
            seed=spec.seed,
            interpolation=spec.interpolation,
            crop_to_aspect_ratio=spec.resize == "crop",
            pad_to_aspect_ratio=spec.resize == "pad",
            verbose=False,
        )
    except ValueError as error:
        raise SourceError(f"{folder}: keras_directory: {str(error).splitlines()[0]}") from error


def shuffled(slots: Rows, spec: BatchSpec) -> tf.data.Dataset:
    """Slots through the same shuffle and batching as Keras' paths."""
    import tensorflow as tf

    dataset = tf.data.Dataset.from_tensor_slices(slots)
    if spec.shuffle:
        dataset = dataset.shuffle(buffer_size=spec.batch_size * 8, seed=spec.seed)
    return dataset.batch(spec.batch_size)
