"""What the built-in networks take of a user's own batches: checked in the first, then converted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, cast, get_args

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.errors import PlanError
from feedbench.loaders import Batch, BatchSpec, Dtype, OwnFunction

if TYPE_CHECKING:
    from feedbench.trainer import BatchLike, OwnModel, TrainerBase

_COMMON_RANGES = {"0,1": (0.0, 1.0), "-1,1": (-1.0, 1.0), "0,255": (0.0, 255.0)}


class FromOwn:
    """Trains a built-in network on a user's own batches."""

    def __init__(self, trainer: TrainerBase, classes: int, own: OwnFunction) -> None:
        self._trainer, self._classes, self._own = trainer, classes, own

    def step(self, batch: Batch) -> None:
        """Train on one batch."""
        self._trainer.step(for_network(batch, self._classes, self._own))

    def finish(self) -> None:
        """Wait until the device has run all steps."""
        self._trainer.finish()


def check_for_network(batch: Batch, spec: BatchSpec, classes: int, own: OwnFunction) -> Dtype:
    """Check that a built-in network can take batches like this one; return the images' dtype.

    Args:
        batch: the first of a user's own loader.
        classes: number of classes of the network.
        own: the function that gave it.

    Raises:
        PlanError: it cannot; the text says what came and what is expected.
    """
    if spec.augment.on_device:
        raise PlanError(
            f"{own.place}: {own.function} augments its images itself, so on_device must be off, "
            f"got {', '.join(spec.augment.on_device)}"
        )
    size = spec.image_size
    dtype, shape = _form(batch.images)
    if dtype not in get_args(Dtype) or shape[1:] != (size, size, 3):
        raise _refusal(
            own,
            f"images that are {_text(batch.images)}",
            f"uint8 or float32 [batch, {size}, {size}, 3]",
        )
    _check_labels(batch, classes, own)
    return cast("Dtype", dtype)


def _check_labels(batch: Batch, classes: int, own: OwnFunction) -> None:
    if reason := _wrong_labels(batch.labels, classes):
        raise _refusal(
            own,
            f"labels that are {reason}",
            f"indices [batch] of the {classes} classes, or one-hot [batch, {classes}]",
        )


def value_extremes(images: Any) -> tuple[float, float] | None:
    """Return the least and the greatest value of images; None unless they are finite float32."""
    if _form(images)[0] != "float32":
        return None
    values = np.asarray(images)
    low, high = float(values.min()), float(values.max())
    return (low, high) if math.isfinite(low) and math.isfinite(high) else None


def other_range(low: float, high: float, spec: BatchSpec) -> str | None:
    """Return the value of --value-range that floats need; None if that of the spec may be theirs.

    Augmentation and resizing may go somewhat beyond the range, and a dark batch does not fill it.

    Args:
        low, high: the least and the greatest value of a batch.

    Returns:
        Empty if it is none of the common ones.
    """
    least, most = _extremes(spec)
    beyond = (most - least) / 2
    if least - beyond <= low and high <= most + beyond and high - low > beyond / 10:
        return None
    common = (name for name, (a, b) in _COMMON_RANGES.items() if a <= low and high <= b)
    return next(common, "")


def range_note(batch: Batch, spec: BatchSpec, own: OwnFunction) -> str:
    """Return a sentence if floats are plainly not in the spec's value range; else nothing.

    Args:
        batch: the first of a user's own loader, which a built-in network is trained on.
    """
    extremes = value_extremes(batch.images)
    remedy = extremes and other_range(*extremes, spec)
    if extremes is None or remedy is None:
        return ""
    low, high = extremes
    least, most = _extremes(spec)
    return (
        f"{own.place}: {own.function} gives floats of {low:.3g} to {high:.3g}, but the value range "
        f"is {least:.3g} to {most:.3g}, in which the validation images and the saved model's "
        f"input are; use --value-range {remedy or 'with the LOW,HIGH that it scales to'}"
    )


def check_for_model(batch: BatchLike, model: OwnModel, own: OwnFunction) -> None:
    """Check that a user's own model can take a batch of their own loader.

    Raises:
        PlanError: it cannot; the text names both files, what came and what the model takes.
        RecipeError: the model is not compiled, and no loss follows from the labels.
    """
    from feedbench.trainer import batch_fault, labels_fault

    if fault := batch_fault(model.model, batch) or labels_fault(model, batch):
        raise PlanError(
            f"{own.place}: {own.function} gives {fault}; change these, or the model ({model.name})"
        )


def _extremes(spec: BatchSpec) -> tuple[float, float]:
    tops = [scale * 255 + offset for scale, offset in zip(spec.scale, spec.offset, strict=True)]
    return min(spec.offset), max(tops)


def for_network(batch: Batch, classes: int, own: OwnFunction) -> Batch:
    """The batch of a user's own loader with labels as int32 `[batch]`.

    Arrays are marked read-only, because the user's code may write into them again: so the trainer
    copies them instead of using their memory.

    Raises:
        PlanError: labels are no classes, as where a later batch than the first is mixed.
    """
    _check_labels(batch, classes, own)
    images = batch.images
    if isinstance(images, np.ndarray):
        images = images.view()
        images.flags.writeable = False
    return Batch(images, _indices(np.asarray(batch.labels)), batch.rows)


def _indices(labels: NDArray[Any]) -> NDArray[np.int32]:
    return (labels.argmax(-1) if labels.ndim > 1 else labels).astype(np.int32, copy=False)


def _wrong_labels(labels: Any, classes: int) -> str:
    """What is wrong with labels; empty if nothing is."""
    dtype, shape = _form(labels)
    if len(shape) == 1 and np.issubdtype(dtype or "O", np.integer):
        numbers = np.asarray(labels)
        outside = numbers[(numbers < 0) | (numbers >= classes)]
        return f"class {outside[0]}" if outside.size else ""
    if shape[1:] == (classes,):
        values = np.asarray(labels)
        is_one_hot = ((values == 0) | (values == 1)).all() and (values.sum(-1) == 1).all()
        return "" if is_one_hot else "mixed, not one-hot"
    return _text(labels)


def _form(value: Any) -> tuple[str, tuple[int, ...]]:
    """Dtype and shape of an array; empty if it is none."""
    dtype = getattr(value, "dtype", None)
    return str(getattr(dtype, "name", "")), tuple(map(int, getattr(value, "shape", ())))


def _text(value: Any) -> str:
    dtype, shape = _form(value)
    return f"{dtype} {list(shape)}" if dtype else f"a {type(value).__name__}"


def _refusal(own: OwnFunction, came: str, expected: str) -> PlanError:
    return PlanError(
        f"{own.place}: {own.function} gives {came}; the network expects {expected}; "
        "set --image-size or give a model of your own that takes them"
    )
