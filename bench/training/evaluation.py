"""Reads the validation and test images, and evaluates a trained network on the test images."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from feedbench.bench.loader_facts import dropped_by
from feedbench.bench.plan.plan import Failures
from feedbench.bench.record import Dropped
from feedbench.bench.training.predictions import Predictions
from feedbench.bench.training.setup import TrainingSetup, reads_held_out
from feedbench.loaders import (
    DEFAULT_LOADER,
    Batch,
    SourceError,
    Split,
    find_loader,
    images_in,
    open_loader,
    parse_settings,
    usable_cores,
)
from feedbench.trainer import TrainingStopped, accuracy_of

if TYPE_CHECKING:
    from feedbench.trainer import TrainerBase

_EPOCHS = 2  # in which each image of a user's own loader has come, if it comes at all


class HeldOut:
    """The images that are not trained on, read by the default loader.

    A user's own function reads them itself if it takes `split` or `manifest`.
    """

    def __init__(self, setup: TrainingSetup, failures: Failures) -> None:
        self._setup = setup
        self._failures = failures
        self._dropped: dict[str, Dropped] = {}

    @property
    def dropped(self) -> list[Dropped]:
        """The images that could not be read so far, each listed once."""
        return list(self._dropped.values())

    @property
    def classes(self) -> int:
        """Number of classes of the data."""
        return len(self._setup.manifest.classes)

    @contextmanager
    def open(self, split: Split) -> Iterator[Iterator[Batch]]:
        """Yield the batches of one split, each image once, not shuffled and not augmented.

        Raises:
            SourceError: the split has no images.
        """
        images = self._setup.manifest.only(split)
        best, is_own = self._setup.best, reads_held_out(self._setup.best)
        with open_loader(
            best.loader if is_own else DEFAULT_LOADER,
            images,
            self._setup.spec.for_evaluation(),
            best.settings if is_own else _loader_settings(self._setup.image_dtype),
            epochs=1,
            **self._failures.model_dump(),
        ) as stream:
            batches = map(self._setup.for_network, stream) if self._setup.converts else stream
            yield without_repeats(batches, len(images))
            self._dropped.update({image.path: image for image in dropped_by(stream)})


@dataclass(frozen=True)
class Evaluation:
    """A network evaluated on the test images.

    Attributes:
        metrics: loss and accuracy, and what else the user's own model reports.
        predictions: None where the rows or the classes of the images are unknown.
    """

    metrics: dict[str, float]
    predictions: Predictions | None


def evaluate_test_split(
    trainer: TrainerBase, held_out: HeldOut, should_stop: Callable[[], bool]
) -> Evaluation | None:
    """Evaluate on the test images; return None if there are none.

    Raises:
        TrainingStopped: `should_stop`, which is called before each batch, returned True.
    """
    predictions = Predictions()
    with suppress(SourceError), held_out.open("test") as batches:
        batches = _until_stopped(batches, should_stop)
        logs = trainer.evaluate(predictions.collect(trainer, batches))
        accuracy = accuracy_of(logs)
        metrics = logs if math.isnan(accuracy) else {**logs, "accuracy": accuracy}
        return Evaluation(metrics, predictions if predictions.complete(held_out.classes) else None)
    return None


def _until_stopped(batches: Iterable[Batch], should_stop: Callable[[], bool]) -> Iterator[Batch]:
    for batch in batches:
        if should_stop():
            raise TrainingStopped
        yield batch


def without_repeats(batches: Iterable[Batch], image_count: int) -> Iterator[Batch]:
    """Yield the batches without rows that were yielded before.

    A loader replaces an unreadable image by the next readable one, which then appears twice. A
    user's own loader may have no end: it is read until each image has come, or for as long as
    another would take for two epochs. Of its batches without rows, those of one epoch are yielded.
    """
    seen = np.zeros(image_count, np.bool_)
    given = 0
    for batch in batches:
        given += images_in(batch)
        if batch.rows is None:
            yield batch
        else:
            first = np.unique(batch.rows, return_index=True)[1]
            new = np.sort(first[~seen[batch.rows[first]]])
            seen[batch.rows] = True
            if len(new) == len(batch.rows):
                yield batch
            elif len(new):
                parts = (_of_places(part, new) for part in batch)
                yield Batch(*parts)
        if given >= (image_count if batch.rows is None else _EPOCHS * image_count) or seen.all():
            return


def _of_places(value: Any, places: NDArray[np.int64]) -> Any:
    """The images at some places of a part of a batch, which may be dicts and tuples of arrays."""
    if isinstance(value, dict):
        return {name: _of_places(inner, places) for name, inner in value.items()}
    if isinstance(value, tuple):
        return tuple(_of_places(inner, places) for inner in value)
    return np.asarray(value)[places]


def _loader_settings(image_dtype: str) -> dict[str, Any]:
    """Return settings of the default loader without AUTOTUNE.

    Each validation opens a new iterator, which would tune from scratch, and whose end would wait
    for the tuning thread.
    """
    loader = find_loader(DEFAULT_LOADER)
    settings: dict[str, Any] = {"output": image_dtype}
    if loader.autotuning is None:
        return settings
    fixed = loader.autotuning.fixed(parse_settings(loader, settings), usable_cores())
    return {**settings, **fixed[0]} if fixed else settings
