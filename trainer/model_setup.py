"""How a user's own model takes the batches: checked, and compiled by the recipe if it is not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from feedbench.trainer.augment import DeviceAugment
from feedbench.trainer.base import BatchLike
from feedbench.trainer.errors import RecipeError
from feedbench.trainer.model_data import Feed, ImageBatches, OwnBatches, as_array, tensors
from feedbench.trainer.model_inputs import ImageConversion, declared_inputs, image_input
from feedbench.trainer.model_made_up import MadeUpBatches, made_up
from feedbench.trainer.model_targets import (
    check_classes,
    classifier_loss,
    label_form,
    losses_for,
    of_keras,
)
from feedbench.trainer.optimizer import compile_own
from feedbench.trainer.recipe import Recipe


@dataclass(frozen=True)
class OwnModel:
    """A user's model as it was built or loaded.

    Attributes:
        name: as the user gave it, for errors.
        model: a Keras model, compiled or not.
    """

    name: str
    model: Any


@dataclass(frozen=True)
class Images:
    """The batches of one of Feedbench's loaders.

    Attributes:
        dtype: "uint8" for pixels, "float32" for images in the value range.
        side: height and width in pixels.
        scale, offset: factor and offset from pixels to the value range, per channel.
        classes: number of classes of the labels.
        augment: the device's part of the augmentation.
        class_weights: weight of an image of each class in the loss; None for equal weights.
        made_up: whether they are placeholders, so that a model that takes more than images
            may be given others.
    """

    dtype: str
    side: int
    scale: Sequence[float]
    offset: Sequence[float]
    classes: int
    augment: DeviceAugment
    class_weights: Sequence[float] | None = None
    made_up: bool = False


@dataclass(frozen=True)
class Schedule:
    """The values that set the length of a recipe's schedule: batch size and images per epoch."""

    batch_size: int
    images: int


def prepared(
    own: OwnModel, recipe: Recipe, schedule: Schedule, first: BatchLike, images: Images | None
) -> Feed:
    """Compile a model that is not compiled, and return how its batches are fed.

    Args:
        first: a batch.
        images: describes the batches; None if a user's own loader gives them.

    Raises:
        RecipeError: it cannot be trained on such batches.
    """
    if images is not None:
        feed = _image_batches(own, recipe, schedule, first, images)
    else:
        feed = _own_batches(own, recipe, schedule, first)
    check_trainable(own)
    return feed


def _own_batches(own: OwnModel, recipe: Recipe, schedule: Schedule, first: BatchLike) -> OwnBatches:
    feed = OwnBatches()
    if recipe.class_weights != "none":
        raise RecipeError(
            "class_weights: with a loader of your own, give the weights in the model's loss"
        )
    if not own.model.compiled:
        outputs, labels = _outputs(own.model, feed, first), _arrays(first.labels)
        loss = losses_for(own.model, own.name, outputs, labels, recipe.label_smoothing)
        compile_own(own.model, recipe, loss, schedule.batch_size, schedule.images)
    return feed


def _image_batches(
    own: OwnModel, recipe: Recipe, schedule: Schedule, first: BatchLike, images: Images
) -> Feed:
    if images.made_up and _takes_more(own.model):
        return _made_up_batches(own, recipe, schedule, images)
    taken = image_input(own.model, own.name)
    if taken.side not in (None, images.side):
        raise RecipeError(
            f"{own.name} returned a model that takes images of {taken.side} px, and the batches "
            f"have {images.side} px; set --image-size {taken.side}"
        )
    conversion = ImageConversion(images.dtype, taken, images.scale, images.offset)
    feed = ImageBatches(conversion, images.augment)
    outputs = _outputs(own.model, feed, first) if _needs_outputs(own.model) else None
    if not own.model.compiled:
        loss = classifier_loss(own.model, own.name, outputs, images.classes, recipe.label_smoothing)
        compile_own(own.model, recipe, loss, schedule.batch_size, schedule.images)
    units = images.classes
    if of_keras(own.model.loss):
        units = _units(own, outputs)
        check_classes(own.name, units, images.classes)
    feed.label_with(label_form(own.model.loss, units), images.classes, images.class_weights)
    return feed


def _takes_more(model: Any) -> bool:
    """Whether a model takes or gives more than an array of images and one of classes."""
    inputs = declared_inputs(model)
    if inputs is None:
        return False
    return len(inputs) > 1 or len(model.outputs) > 1 or len(inputs[0].shape) != 4


def _made_up_batches(
    own: OwnModel, recipe: Recipe, schedule: Schedule, images: Images
) -> MadeUpBatches:
    inputs, targets = made_up(own.model, own.name, schedule.batch_size, images.side)
    if not own.model.compiled:
        outputs = _arrays(own.model(tensors(inputs), training=False))
        loss = losses_for(own.model, own.name, outputs, targets, recipe.label_smoothing)
        compile_own(own.model, recipe, loss, schedule.batch_size, schedule.images)
    return MadeUpBatches(inputs, targets)


def _needs_outputs(model: Any) -> bool:
    """Whether only a call of the model tells what its outputs are."""
    return not model.compiled or (of_keras(model.loss) and output_shape(model) is None)


def output_shape(model: Any) -> Any:
    """The declared shape of a model's outputs; None where it is only known once it is called."""
    try:
        return model.output_shape
    except (AttributeError, ValueError, NotImplementedError):
        return None


def check_outputs(own: OwnModel, classes: int) -> None:
    """Check that a model has outputs for this number of classes, if its outputs are known.

    Raises:
        RecipeError: it has another number of outputs.
    """
    shape, loss = output_shape(own.model), own.model.loss if own.model.compiled else None
    if _takes_more(own.model) or not isinstance(shape, tuple) or len(shape) != 2:
        return
    if shape[-1] is not None and (loss is None or of_keras(loss)):
        check_classes(own.name, shape[-1], classes)


def check_inputs(own: OwnModel, *, made_up: bool) -> None:
    """Check that a model takes the images of a loader of Feedbench, as far as it declares that.

    Args:
        made_up: whether the batches only stand for others, as in `Images`.

    Raises:
        RecipeError: it takes something else.
    """
    if not (made_up and _takes_more(own.model)):
        image_input(own.model, own.name)


def _units(own: OwnModel, outputs: Any) -> int:
    """The number of values that a classifier gives for an image."""
    shape = output_shape(own.model) if outputs is None else getattr(outputs, "shape", None)
    if not isinstance(shape, tuple) or len(shape) != 2:
        raise RecipeError(
            f"{own.name} returned a model with outputs {shape or 'of several arrays'}, and a "
            "loader of Feedbench gives one class for each image; use a loader of your own"
        )
    return int(shape[-1])


def _outputs(model: Any, feed: Feed, first: BatchLike) -> Any:
    """What the model makes of a batch, as arrays."""
    return _arrays(model(feed.inputs(first), training=False))


def _arrays(values: Any) -> Any:
    import keras

    return keras.tree.map_structure(as_array, values)


def check_trainable(own: OwnModel) -> None:
    """Check that a model has weights to train, if it has weights yet.

    Raises:
        RecipeError: `trainable` is False everywhere.
    """
    if own.model.built and not own.model.trainable_variables:
        raise RecipeError(
            f"{own.name} returned a model without trainable weights; set trainable of its layers"
        )
