"""The consumer that trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.errors import PlanError
from feedbench.loaders import BatchSpec, Manifest, images_per_epoch
from feedbench.trainer import Recipe

if TYPE_CHECKING:
    from feedbench.trainer.step import Trainer


def make_trainer(
    recipe: Recipe,
    spec: BatchSpec,
    manifest: Manifest,
    image_dtype: str,
    *,
    load_initial_weights: bool = True,
) -> Trainer:
    """The real trainer for a manifest's classes, and batches of a spec.

    Args:
        load_initial_weights: False if a checkpoint is restored next, which replaces them.

    Raises:
        PlanError: the network refuses the recipe or the image size.
        TrainerError: the recipe's weights cannot be had or do not fit.
    """
    from feedbench.trainer.device_augment import DeviceAugment
    from feedbench.trainer.step import Trainer

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


def class_weights(recipe: Recipe, counts: NDArray[np.int64]) -> list[float] | None:
    """How much an image of each class counts, 1 in the mean over an epoch; None: all alike.

    Args:
        counts: images of each class in an epoch; what is oversampled counts the less.
    """
    if recipe.class_weights == "none":
        return None
    weights: list[float] = (counts.sum() / (len(counts) * np.maximum(counts, 1))).tolist()
    return weights
