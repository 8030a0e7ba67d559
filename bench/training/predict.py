"""Predicts the classes of image files with a saved model."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from feedbench.bench.errors import RecordError
from feedbench.loaders import BatchSpec, parse_spec
from feedbench.loaders.errors import printable
from feedbench.loaders.images.pillow import picture as open_picture
from feedbench.loaders.images.pillow import reason

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
        model: a Keras model that takes pixels of 0 to 255 and returns class probabilities.
        classes: class names in the order of the model's output.
        spec: how an image becomes the model's input: size, filter, orientation, background.
    """

    model: Any
    classes: list[str]
    spec: BatchSpec

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
        probabilities = np.asarray(self.model(pixels[None], training=False))[0]
        best = int(probabilities.argmax())
        return Prediction(
            path=path, predicted=self.classes[best], probability=float(probabilities[best])
        )


def load_classifier(path: Path) -> Classifier:
    """Load a model that `feedbench train` saved.

    Raises:
        RecordError: the file does not contain the classes.
        TrainerError: the file cannot be read.
    """
    from feedbench.trainer.saved_model import load_model, read_facts

    metadata = read_facts(path)
    if metadata is None or "classes" not in metadata:
        raise RecordError(
            f"{path}: no classes in it; give the model.keras or best.keras of a training"
        )
    classes = list(metadata.pop("classes"))
    return Classifier(load_model(path), classes, parse_spec(metadata))


def read_pixels(path: str, spec: BatchSpec) -> NDArray[np.float32]:
    """Read an image as in training; return pixels of 0 to 255, float32 `[side, side, 3]`.

    Raises:
        Exception: any error of the decoder.
    """
    from keras.utils import img_to_array

    from feedbench.loaders.images.jxl import is_jxl
    from feedbench.loaders.images.pillow import fitted
    from feedbench.loaders.images.tensorflow import jxl_picture

    with Path(path).open("rb") as file:
        is_jpeg_xl = is_jxl(file.read(_SIGNATURE_BYTES))  # which Pillow cannot read
    image = jxl_picture(path, spec) if is_jpeg_xl else open_picture(path, spec)
    return img_to_array(fitted(image, spec), dtype="float32")  # type: ignore[no-any-return]
