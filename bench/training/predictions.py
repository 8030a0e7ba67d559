"""What a trained model says of each test image: predictions.csv, and what follows from it."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from feedbench.bench.errors import RecordError
from feedbench.bench.files import write_text
from feedbench.loaders import Batch, Manifest
from feedbench.loaders.errors import printable

if TYPE_CHECKING:
    from feedbench.trainer.step import Trainer

PREDICTIONS = "predictions.csv"
_COLUMNS = ("path", "label", "predicted", "probability")


@dataclass
class Predictions:
    """Rows of a split with their true and their predicted class, and its share."""

    rows: list[NDArray[np.int64]] = field(default_factory=list)
    labels: list[NDArray[np.int32]] = field(default_factory=list)
    predicted: list[NDArray[np.int64]] = field(default_factory=list)
    probability: list[NDArray[np.float32]] = field(default_factory=list)

    def gathered(self, trainer: Trainer, batches: Iterable[Batch]) -> Iterator[Batch]:
        """The batches as they come, each classified on the way."""
        for batch, shares in trainer.probabilities(batches):
            self.rows.append(batch.rows)  # type: ignore[attr-defined]
            self.labels.append(np.asarray(batch.labels))
            self.predicted.append(shares.argmax(-1))
            self.probability.append(shares.max(-1))
            yield batch  # type: ignore[misc]

    def confusion(self, classes: int) -> NDArray[np.int64]:
        """Images by true class (first axis) and predicted class, `[classes, classes]`."""
        counts = np.zeros((classes, classes), np.int64)
        np.add.at(counts, (np.concatenate(self.labels), np.concatenate(self.predicted)), 1)
        return counts

    def write(self, path: Path, manifest: Manifest) -> None:
        """Keep as CSV, paths relative to the manifest's root, in its order."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(_COLUMNS)
        names, classes = manifest.table["path"], manifest.classes
        columns: tuple[list[Any], ...]
        columns = (self.rows, self.labels, self.predicted, self.probability)
        joined = [np.concatenate(column) for column in columns]
        for row, label, said, share in zip(*joined, strict=True):
            name = printable(names[int(row)].as_py())
            writer.writerow([name, classes[label], classes[said], f"{share:.6f}"])
        write_text(path, text.getvalue())


class ClassFigures(BaseModel):
    """How one class fared."""

    name: str
    images: int
    recall: float | None
    precision: float | None


def per_class(confusion: NDArray[np.int64], classes: Iterable[str]) -> list[ClassFigures]:
    """Recall (right of those that are) and precision (right of those so called) of each class."""
    right, real, called = np.diag(confusion), confusion.sum(1), confusion.sum(0)
    return [
        ClassFigures(
            name=name,
            images=int(real[index]),
            recall=_share(right[index], real[index]),
            precision=_share(right[index], called[index]),
        )
        for index, name in enumerate(classes)
    ]


def _share(part: Any, whole: Any) -> float | None:
    return float(part) / float(whole) if whole else None


@dataclass(frozen=True)
class Said:
    """One line of predictions.csv."""

    label: str
    predicted: str

    @property
    def right(self) -> bool:
        """Whether the prediction is the label."""
        return self.label == self.predicted


def read_predictions(folder: Path) -> dict[str, Said]:
    """By path, what the model of a run said of its test images.

    Raises:
        RecordError: no such file, or not one of these.
    """
    path = folder / PREDICTIONS
    try:
        with path.open(newline="") as file:
            lines = {line["path"]: Said(line["label"], line["predicted"]) for line in _lines(file)}
    except OSError as error:
        raise RecordError(
            f"{path}: {error.strerror}; give the folder of a training with a test split"
        ) from error
    except (KeyError, ValueError, csv.Error) as error:
        raise RecordError(f"{path}: not predictions of a training: {error}") from error
    if not lines:
        raise RecordError(f"{path}: no prediction in it; train with a test split")
    return lines


def _lines(file: Any) -> Iterator[dict[str, str]]:
    yield from csv.DictReader(file)
