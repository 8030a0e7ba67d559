"""Builds the trainer, the consumer that trains a network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.errors import PlanError
from feedbench.loaders import BatchSpec, Manifest, images_per_epoch
from feedbench.trainer import Recipe

if TYPE_CHECKING:
    from feedbench.trainer import Trainer

CPU = "CPU"  # of `training_device`


def make_trainer(
    recipe: Recipe,
    spec: BatchSpec,
    manifest: Manifest,
    image_dtype: str,
    *,
    load_initial_weights: bool = True,
) -> Trainer:
    """Return the trainer for the classes of a manifest and the batches of a spec.

    Args:
        recipe: network, optimizer and schedule.
        spec: what the batches are.
        manifest: the training images.
        image_dtype: dtype of the loader's images, uint8 or float32.
        load_initial_weights: False if a checkpoint is restored next, which replaces them.

    Raises:
        PlanError: the network does not support the recipe or the image size.
        TrainerError: the initial weights cannot be loaded or do not match the network.
    """
    from feedbench.trainer import DeviceAugment, Trainer

    try:
        return Trainer(
            recipe,
            image_size=spec.image_size,
            batch_size=spec.batch_size,
            classes=len(manifest.classes),
            images=int(images_per_epoch(manifest, spec).sum()),
            scale=spec.scale,
            offset=spec.offset,
            image_dtype=image_dtype,
            device_augment=DeviceAugment(
                spec.augment.geometric_on_device, spec.augment.photometric_on_device
            ),
            class_weights=class_weights(recipe, images_per_epoch(manifest, spec)),
            load_initial_weights=load_initial_weights,
        )
    except ValueError as error:
        raise PlanError(f"recipe: {str(error).splitlines()[0]}") from error


def timed_phase(recipe: Recipe) -> int:
    """Return the index of the phase of a training that is timed: the one with most epochs.

    Steps of the head alone, at the beginning of a fine-tuning, are faster than those that follow.
    """
    epochs = [phase.epochs for phase in recipe.phases]
    return max(range(len(epochs)), key=lambda index: (epochs[index], index))


def timed_phase_text(recipe: Recipe) -> str:
    """Return which phase of a fine-tuning is timed; empty if there is only one."""
    if len(recipe.phases) == 1:
        return ""
    phase = recipe.phases[timed_phase(recipe)]
    layers = {
        "head": "only the head",
        "last": f"the last {recipe.fine_tune_layers} layers",
        "all": "all layers",
    }[phase.trainable]
    return f"training {layers}, as in {phase.epochs} of {recipe.epochs} epochs"


def training_device() -> str:
    """Return the name of the GPU that TensorFlow computes on, or `CPU`."""
    import tensorflow as tf

    for gpu in tf.config.list_physical_devices("GPU")[:1]:
        return str(tf.config.experimental.get_device_details(gpu).get("device_name", "GPU"))
    return CPU


def class_weights(recipe: Recipe, counts: NDArray[np.int64]) -> list[float] | None:
    """Return the loss weight of each class, or None if the recipe has no class weights.

    The mean weight over the images of an epoch is 1.

    Args:
        recipe: whose `class_weights` is "none" or balances the classes.
        counts: int64 `[classes]`, images of each class per epoch, repetitions included.
    """
    if recipe.class_weights == "none":
        return None
    weights: list[float] = (counts.sum() / (len(counts) * np.maximum(counts, 1))).tolist()
    return weights
