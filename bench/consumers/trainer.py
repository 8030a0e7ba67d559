"""Builds the trainer, the consumer that trains a network or a user's own model."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.consumers.own_batches import check_for_network
from feedbench.bench.consumers.own_model import build_model, find_builder
from feedbench.bench.consumers.own_trainer import OwnTrainer
from feedbench.bench.errors import PlanError
from feedbench.loaders import Batch, BatchSpec, Manifest, OwnFunction, images_per_epoch
from feedbench.trainer import (
    DeviceAugment,
    Images,
    Recipe,
    Replicas,
    Schedule,
    Trainer,
    TrainerBase,
    TrainerError,
    check_devices,
)

_ONE_DEVICE = Replicas()


def make_trainer(
    recipe: Recipe,
    spec: BatchSpec,
    manifest: Manifest,
    image_dtype: str,
    *,
    first: Batch | None = None,
    own: OwnFunction | None = None,
    made_up: bool = False,
    load_initial_weights: bool = True,
    replicas: Replicas = _ONE_DEVICE,
) -> TrainerBase:
    """Return the trainer for the classes of a manifest and the batches of a spec.

    Args:
        recipe: network, optimizer and schedule; or the user's own model.
        spec: what the batches are.
        manifest: the training images.
        image_dtype: dtype of the loader's images, uint8 or float32.
        first: a batch of the loader, which an own model or a user's own loader needs; it is not
            trained on.
        own: the user's function that gives the batches, if one does.
        made_up: whether the batches only stand for others: an own model that takes more than
            images is then given such.
        load_initial_weights: False if a checkpoint is restored next, which replaces them.
        replicas: the devices that train together.

    Raises:
        PlanError: the network does not support the recipe or the image size.
        LoaderError: the code of the user's own model fails.
        TrainerError: the initial weights cannot be loaded, or the model does not fit the batches.
    """
    if recipe.own_model:
        images = _images(recipe, spec, manifest, image_dtype, made_up=made_up)
        check_devices(replicas.total, spec.batch_size, recipe)
        return _own_trainer(recipe, spec, manifest, first, own or images)
    if own is not None and first is not None:
        image_dtype = check_for_network(first, spec, len(manifest.classes), own)
    return _recipe_trainer(
        recipe, spec, manifest, image_dtype, replicas, load_weights=load_initial_weights
    )


def _recipe_trainer(
    recipe: Recipe,
    spec: BatchSpec,
    manifest: Manifest,
    image_dtype: str,
    replicas: Replicas,
    *,
    load_weights: bool,
) -> TrainerBase:
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
            device_augment=_device_augment(spec),
            class_weights=class_weights(recipe, images_per_epoch(manifest, spec)),
            load_initial_weights=load_weights,
            replicas=replicas,
        )
    except TrainerError:
        raise
    except ValueError as error:
        raise PlanError(f"recipe: {str(error).splitlines()[0]}") from error


def _own_trainer(
    recipe: Recipe,
    spec: BatchSpec,
    manifest: Manifest,
    first: Batch | None,
    source: OwnFunction | Images,
) -> TrainerBase:
    assert first is not None, "an own model is prepared for a batch"
    builder = find_builder(recipe.network)
    own = build_model(builder, recipe, spec.image_size, len(manifest.classes))
    schedule = Schedule(spec.batch_size, int(images_per_epoch(manifest, spec).sum()))
    return OwnTrainer(builder, own, recipe, schedule, first, source)


def _images(
    recipe: Recipe, spec: BatchSpec, manifest: Manifest, image_dtype: str, *, made_up: bool
) -> Images:
    return Images(
        dtype=image_dtype,
        side=spec.image_size,
        scale=spec.scale,
        offset=spec.offset,
        classes=len(manifest.classes),
        augment=_device_augment(spec),
        class_weights=class_weights(recipe, images_per_epoch(manifest, spec)),
        made_up=made_up,
    )


def _device_augment(spec: BatchSpec) -> DeviceAugment:
    return DeviceAugment(spec.augment.geometric_on_device, spec.augment.photometric_on_device)


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


def class_weights(recipe: Recipe, counts: NDArray[np.int64]) -> list[float] | None:
    """Return the loss weight of each class, or None if the recipe has no class weights.

    The mean weight over the images of an epoch is 1.

    Args:
        recipe: whose `class_weights` is "none" or balances the classes.
        counts: int64 `[classes]`, images of each class per epoch, repetitions included.
    """
    if recipe.class_weights == "none":
        return None
    classes = np.count_nonzero(counts)  # a class may have images in other splits alone
    weights: list[float] = (counts.sum() / (classes * np.maximum(counts, 1))).tolist()
    return weights
