"""From tf.data datasets of `(images, rows, draws)` to batches, naming the file behind an error."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from feedbench.loaders.contract import Batch, BatchSpec
from feedbench.loaders.errors import ImageError, LoaderError
from feedbench.loaders.faults import Faults
from feedbench.loaders.images.pillow import tensorflow_words
from feedbench.loaders.images.tensorflow import Decoding
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Order, Rows

_AHEAD = 64  # batches that may be in work when a file fails


def batches(
    dataset_of: Callable[[Order], Any],
    order: Order,
    manifest: Manifest,
    spec: BatchSpec,
    decoding: Decoding,
    faults: Faults,
    *,
    deterministic: bool,
) -> Iterator[Batch]:
    """The batches of an order; after a file that fails and is dropped, those of a new dataset.

    A dataset cannot go on after an error: what it had taken of the batch is lost. The new one
    begins with that batch, and has another row in the place of the one that failed.

    Args:
        dataset_of: elements `(images, rows, draws)` of an order, one a batch.
        deterministic: False where images may come out of order.

    Raises:
        LoaderError: a file cannot be read, and may not be dropped. TensorFlow's error names none.
    """
    import tensorflow as tf

    ledger = None if deterministic or not faults.tolerance.skip else _Ledger()
    while True:
        step = order.start_step
        try:
            for images, rows, draws in dataset_of(order):
                taken = rows.numpy()
                if ledger is not None:
                    begin = step * order.batch_size
                    ledger.note(order.rows(begin, begin + len(taken)), taken)
                step += 1
                changes = spec.augment.for_device(draws.numpy(), spec.image_size)
                yield Batch(images, manifest.labels[taken], taken, changes)
            return
        except tf.errors.OpError as error:
            order = replace(order, start_step=step)
            failed = _first_unreadable(_suspects(order), manifest, decoding)
            if not failed:
                raise LoaderError(f"TensorFlow: {tensorflow_words(error)}; batch {step}") from error
            for fault in failed:
                faults.meet(fault)
            order = order.without(fault.row for fault in failed)
            if ledger is not None:
                order = replace(order, exchanged=ledger.exchange(order))


class _Ledger:
    """What came too early and what is still to come, where images may overtake each other."""

    def __init__(self) -> None:
        self._owed: Counter[int] = Counter()

    def note(self, expected: Rows, given: Rows) -> None:
        self._owed.update(expected.tolist())
        self._owed.subtract(given.tolist())

    def exchange(self, order: Order) -> tuple[tuple[int, int], ...]:
        """The positions of rows that were given already, each with a row that was not."""
        early = -self._owed
        missing = (+self._owed).elements()
        pairs = []
        for begin, end in order.pieces(order.batch_size):
            if not early:
                break
            for position, row in enumerate(order.rows(begin, end).tolist(), begin):
                if early[row]:
                    early -= Counter([row])
                    pairs.append((position, next(missing)))
        self._owed.clear()
        return tuple(pairs)


def _suspects(order: Order) -> Iterator[Rows]:
    """Rows that may have failed: those of the next batch, then those read ahead."""
    ahead = replace(order, stop_step=None).pieces(order.batch_size)
    return (order.rows(begin, end) for begin, end in islice(ahead, _AHEAD))


def _first_unreadable(
    suspects: Iterable[Rows], manifest: Manifest, decoding: Decoding
) -> list[ImageError]:
    for rows in suspects:
        if failed := unreadable(rows, manifest, decoding):
            return failed
    return []


def unreadable(rows: Rows, manifest: Manifest, decoding: Decoding) -> list[ImageError]:
    """Which of some rows cannot be read, and why."""
    failed = []
    for row, path in zip(rows.tolist(), manifest.paths(rows), strict=True):
        if fault := _fault(path, row, decoding):
            failed.append(ImageError(os.fsdecode(path), row, *fault))
    return failed


def _fault(path: bytes, row: int, decoding: Decoding) -> tuple[str, str] | None:
    try:
        data = Path(os.fsdecode(path)).read_bytes()
    except OSError as error:
        return "the system", error.strerror or str(error)
    return decoding.fault(data, row)
