"""predictions.csv: the class that a trained model predicts for each test image."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import BaseModel

from feedbench.bench.errors import RecordError
from feedbench.bench.files import replacing
from feedbench.bench.training.class_pairs import ClassPairs
from feedbench.loaders import Batch, Manifest, printable

if TYPE_CHECKING:
    from feedbench.trainer import TrainerBase

PREDICTIONS = "predictions.csv"
_COLUMNS = ("path", "label", "predicted", "probability")


@dataclass
class Predictions:
    """Predictions collected batch by batch.

    Attributes:
        rows: manifest row of each image; empty if an own loader does not say them.
        labels: true class of each image.
        predicted: class with the highest probability.
        probability: the probability of that class.
        units: numbers of classes that the model told apart; 0 for a batch whose rows or classes
            a user's own loader or model does not tell.
    """

    rows: list[NDArray[np.int64]] = field(default_factory=list)
    labels: list[NDArray[np.int32]] = field(default_factory=list)
    predicted: list[NDArray[np.int64]] = field(default_factory=list)
    probability: list[NDArray[np.float32]] = field(default_factory=list)
    units: set[int] = field(default_factory=set)

    def collect(self, trainer: TrainerBase, batches: Iterable[Batch]) -> Iterator[Batch]:
        """Predict each batch, add it to the collection, and yield it."""
        for batch, probabilities in trainer.probabilities(batches):
            self._add(batch, probabilities)
            yield batch  # type: ignore[misc]

    def _add(self, batch: Any, probabilities: NDArray[np.float32] | None) -> None:
        if probabilities is None or batch.rows is None or not _are_classes(batch.labels):
            self.units.add(0)
            return
        self.units.add(probabilities.shape[-1])
        self.rows.append(batch.rows)
        self.labels.append(np.asarray(batch.labels))
        self.predicted.append(probabilities.argmax(-1))
        self.probability.append(probabilities.max(-1))

    def complete(self, classes: int) -> bool:
        """Whether rows, labels and probabilities of this many classes are known of all images."""
        return self.units == {classes}

    def pairs(self, classes: int) -> ClassPairs:
        """Return the numbers of images by true and predicted class."""
        return ClassPairs.of(np.concatenate(self.labels), np.concatenate(self.predicted), classes)

    def write(self, path: Path, manifest: Manifest) -> None:
        """Write a CSV with one line per image; paths are relative to the manifest's root.

        Raises:
            RecordError: the file cannot be written.
        """
        classes = [printable(name) for name in manifest.classes]
        columns = zip(self.rows, self.labels, self.predicted, self.probability, strict=True)
        with (
            replacing(path) as temporary,
            temporary.open("w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_COLUMNS)
            for rows, labels, predicted, probabilities in columns:
                names = manifest.table["path"].take(pa.array(rows)).to_pylist()
                lines = zip(names, labels, predicted, probabilities, strict=True)
                for name, label, best, probability in lines:
                    words = (printable(name), classes[label], classes[best])
                    writer.writerow([*words, f"{probability:.6f}"])


class ClassMetrics(BaseModel):
    """How well one class is recognized.

    Attributes:
        images: test images of the class.
        recall: fraction of these that are predicted as this class; None if there are none.
        precision: fraction of the images predicted as this class that belong to it; None if no
            image is.
    """

    name: str
    images: int
    recall: float | None
    precision: float | None


def class_metrics(pairs: ClassPairs, classes: Iterable[str]) -> list[ClassMetrics]:
    """Return recall and precision of each class."""
    right, actual, predicted = pairs.right, pairs.by_true, pairs.by_predicted
    return [
        ClassMetrics(
            name=name,
            images=int(actual[index]),
            recall=_fraction(right[index], actual[index]),
            precision=_fraction(right[index], predicted[index]),
        )
        for index, name in enumerate(classes)
    ]


def _are_classes(labels: Any) -> bool:
    """Whether labels are class indices, `[batch]`."""
    return not isinstance(labels, dict | tuple) and np.ndim(labels) == 1


def _fraction(part: Any, whole: Any) -> float | None:
    return float(part) / float(whole) if whole else None


@dataclass(frozen=True, slots=True)
class LabelledPrediction:
    """True and predicted class of one test image."""

    label: str
    predicted: str

    @property
    def correct(self) -> bool:
        """Whether the prediction is the label."""
        return self.label == self.predicted


def read_predictions(folder: Path) -> dict[str, LabelledPrediction]:
    """Read the predictions.csv of a training; return its lines by path.

    Raises:
        RecordError: there is no such file, it is empty, or it has other columns.
    """
    return dict(each_prediction(folder))


def each_prediction(folder: Path) -> Iterator[tuple[str, LabelledPrediction]]:
    """Yield path and prediction of each line of a training's predictions.csv.

    Raises:
        RecordError: there is no such file, it is empty, or it has other columns.
    """
    path, is_empty = folder / PREDICTIONS, True
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for line in csv.DictReader(file):
                label, predicted = intern(line["label"]), intern(line["predicted"])
                yield line["path"], LabelledPrediction(label, predicted)
                is_empty = False
    except OSError as error:
        raise RecordError(
            f"{path}: {error.strerror}; give the folder of a training with a test split"
        ) from error
    except (KeyError, TypeError, ValueError, csv.Error) as error:
        raise RecordError(f"{path}: not the predictions of a training: {error}") from error
    if is_empty:
        raise RecordError(f"{path}: it is empty; train with a test split")
