"""Predicts the classes of image files with a saved model."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from feedbench.bench.consumers.own_model import own_classes
from feedbench.bench.errors import BenchError, RecordError
from feedbench.bench.training.folder import RECIPE, read_recipe
from feedbench.loaders import BatchSpec, open_regular, parse_spec, printable
from feedbench.loaders.images import picture as open_picture
from feedbench.loaders.images import reason

_SIGNATURE_BYTES = 16  # enough to recognize JPEG XL


class Prediction(BaseModel):
    """The predicted class of one file with its probability, or why the file cannot be read."""

    path: str
    predicted: str | None = None
    probability: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Classifier:
    """A saved model.

    Attributes:
        model: a Keras model that returns class probabilities, or the logits of a user's own.
        classes: class names in the order of the model's output.
        spec: how an image becomes the model's input: size, filter, orientation, background.
        in_range: whether the model takes images in the value range, not pixels of 0 to 255.
        logits: whether its outputs are logits; None if that is unknown.
    """

    model: Any
    classes: list[str]
    spec: BatchSpec
    in_range: bool = False
    logits: bool | None = None

    def predict(self, paths: Iterable[str]) -> Iterator[Prediction]:
        """Yield a prediction for each file, in order."""
        for path in paths:
            yield self._predict_file(path)

    def _predict_file(self, path: str) -> Prediction:
        try:
            pixels = read_pixels(path, self.spec)
        except MemoryError:
            raise
        except Exception as error:  # every format of Pillow has its own exceptions
            message = f"{printable(path)}: Pillow cannot read it: {reason(error)}"
            return Prediction(path=path, error=message)
        if self.in_range:
            pixels = pixels * np.array(self.spec.scale, "f4") + np.array(self.spec.offset, "f4")
        (probabilities,) = self._probabilities(pixels[None])
        best = int(probabilities.argmax())
        return Prediction(
            path=path, predicted=self.classes[best], probability=float(probabilities[best])
        )

    def _probabilities(self, images: NDArray[np.float32]) -> NDArray[np.float32]:
        from keras import ops

        from feedbench.trainer import as_probabilities

        outputs = self.model(images, training=False)
        is_array = ops.is_tensor(outputs)
        probabilities = None
        if is_array:
            probabilities = as_probabilities(ops.convert_to_numpy(outputs), logits=self.logits)
        if probabilities is None:
            raise RecordError(
                "the model gives no probability for each class; predict with your own code"
            )
        return probabilities


def load_classifier(path: Path, builder: str | None = None) -> Classifier:
    """Load a model that `feedbench train` saved.

    Args:
        builder: the function that built it, whose file has classes that the model needs.

    Raises:
        LoaderError: there is no such function, or its file fails.
        RecordError: it is a folder, or does not contain the classes of the images.
        TrainerError: the file cannot be read.
    """
    from feedbench.trainer import gives_logits, read_facts

    if path.is_dir():
        raise RecordError(f"{path}: is a folder; give the model.keras or best.keras in it")
    metadata = read_facts(path)
    if metadata is None or "classes" not in metadata:
        raise RecordError(
            f"{path}: no classes in it; give the model.keras or best.keras of a training"
        )
    classes, takes = list(metadata.pop("classes")), metadata.pop("takes", "pixels")
    logits = metadata.pop("logits", None)
    if takes == "own":
        raise RecordError(
            f"{path}: it was trained on the batches of a loader of your own; load it with "
            "keras.saving.load_model, and predict on such batches"
        )
    model = _model(path, builder)
    if logits is None:  # the file is of an earlier version
        logits = gives_logits(model)
    return Classifier(model, classes, parse_spec(metadata), takes == "range", logits)


def _model(path: Path, builder: str | None) -> Any:
    from feedbench.trainer import UnknownClassError, load_model

    try:
        return load_model(path, own_classes(builder) if builder else None)
    except UnknownClassError as error:
        raise RecordError(
            f"{error}; name the function that built the model, whose file defines it: --model "
            f"{_builder_of(path)}"
        ) from error


def _builder_of(path: Path) -> str:
    """Return the function that the training beside a model names, or an example of one."""
    with suppress(BenchError, OSError):
        recipe = read_recipe(path.with_name(RECIPE))
        if recipe.own_model and not recipe.network.endswith(".keras"):
            return recipe.network
    return "model.py:build"


def read_pixels(path: str, spec: BatchSpec) -> NDArray[np.float32]:
    """Read an image as in training; return pixels of 0 to 255, float32 `[side, side, 3]`.

    Raises:
        Exception: any error of the decoder.
    """
    from keras.utils import img_to_array

    from feedbench.loaders.images import fitted, is_jxl, jxl_picture

    with os.fdopen(open_regular(os.fsencode(path)), "rb") as file:  # of a FIFO it would wait
        is_jpeg_xl = is_jxl(file.read(_SIGNATURE_BYTES))  # which Pillow cannot read
    image = jxl_picture(path, spec) if is_jpeg_xl else open_picture(path, spec)
    return img_to_array(fitted(image, spec), dtype="float32")  # type: ignore[no-any-return]
