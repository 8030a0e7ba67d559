"""What a saved model says of image files."""

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

_MAGIC_BYTES = 16  # that tell a JPEG XL


class Prediction(BaseModel):
    """What the model says of one file, or why it could not be read."""

    path: str
    predicted: str | None = None
    probability: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Classifier:
    """A saved model with its classes and the shape of the pictures that it was trained on."""

    model: Any
    classes: list[str]
    spec: BatchSpec

    def __call__(self, paths: Iterable[str]) -> Iterator[Prediction]:
        """What it says of each file, in order."""
        for path in paths:
            yield self._one(path)

    def _one(self, path: str) -> Prediction:
        try:
            pixels = picture(path, self.spec)
        except MemoryError:
            raise
        except Exception as error:  # each of Pillow's formats fails in ways of its own
            why = f"{printable(path)}: Pillow cannot read it: {reason(error)}"
            return Prediction(path=path, error=why)
        shares = np.asarray(self.model(pixels[None], training=False))[0]
        best = int(shares.argmax())
        return Prediction(path=path, predicted=self.classes[best], probability=float(shares[best]))


def load_classifier(path: Path) -> Classifier:
    """A model that `feedbench train` saved.

    Raises:
        RecordError: the file has no classes in it.
        TrainerError: it cannot be read.
    """
    from feedbench.trainer.saved_model import load_model, read_facts

    facts = read_facts(path)
    if facts is None or "classes" not in facts:
        raise RecordError(
            f"{path}: no classes in it; give the model.keras or best.keras of a training"
        )
    classes = list(facts.pop("classes"))
    return Classifier(load_model(path), classes, parse_spec(facts))


def picture(path: str, spec: BatchSpec) -> NDArray[np.float32]:
    """One file's pixels of 0 to 255 as training saw them, float32 `[side, side, 3]`.

    Raises:
        Exception: whatever the decoder has to say of a file that it cannot read.
    """
    from keras.utils import img_to_array

    from feedbench.loaders.images.jxl import is_jxl
    from feedbench.loaders.images.pillow import fitted
    from feedbench.loaders.images.tensorflow import jxl_picture

    with Path(path).open("rb") as file:
        beyond_pillow = is_jxl(file.read(_MAGIC_BYTES))
    image = jxl_picture(path, spec) if beyond_pillow else open_picture(path, spec)
    image = fitted(image, spec)
    return img_to_array(image, dtype="float32")  # type: ignore[no-any-return]
