"""From tf.data datasets to batches: the file behind an error is named, or dropped."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from typing import Any

from feedbench.loaders.contract import Batch, Request
from feedbench.loaders.errors import ImageError, LoaderError
from feedbench.loaders.fifos import FifoWatch
from feedbench.loaders.files import check_limits, read_file
from feedbench.loaders.images.pillow import tensorflow_message
from feedbench.loaders.images.tensorflow import Decoding
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Order, Rows

_AHEAD = 64  # batches that may be under way when a file fails


def batches(
    dataset_of: Callable[[Order], Any],
    request: Request,
    decoding: Decoding,
    *,
    deterministic: bool,
) -> Iterator[Batch]:
    """The batches of a request; after a file that fails and is dropped, those of a new dataset.

    A dataset cannot continue after an error: what it had taken of the batch is lost. The new one
    starts with that batch, and has another row in the place of the one that failed.

    Args:
        dataset_of: returns the dataset of an order, elements with `image`, `row` and `draws`.
        deterministic: False if images may come out of order.

    Raises:
        LoaderError: a file cannot be read, and may not be dropped.
    """
    import tensorflow as tf

    delivery = _Delivery(request, decoding, deterministic)
    with FifoWatch(request.manifest) as watch:
        while True:
            try:
                for element in watch.over(dataset_of(delivery.order)):
                    yield delivery.batch(element)
                return
            except tf.errors.OpError as error:
                delivery.restart_after(error)


class _Delivery:
    """How far a request is delivered.

    Attributes:
        order: the order of the current dataset; replaced after each error.
        step: the next batch.
    """

    def __init__(self, request: Request, decoding: Decoding, deterministic: bool) -> None:
        self.order = request.order
        self.step = request.order.start_step
        self._request = request
        self._decoding = decoding
        may_overtake = not deterministic and request.faults.tolerance.skip
        self._ledger = _Ledger() if may_overtake else None

    def batch(self, element: dict[str, Any]) -> Batch:
        """The batch of an element of the dataset."""
        rows = element["row"].numpy()
        if self._ledger is not None:
            begin = self.step * self.order.batch_size
            self._ledger.enter(self.order.rows(begin, begin + len(rows)), rows)
        self.step += 1
        return self._request.batch(element["image"], rows, element["draws"].numpy())

    def restart_after(self, error: Any) -> None:
        """Drop the files that failed; the order continues without them at the batch that is lost.

        Raises:
            LoaderError: no file failed, or one that may not be dropped.
        """
        order = replace(self.order, start_step=self.step)
        failed = _first_unreadable(order, self._request.manifest, self._decoding)
        if not failed:
            message = tensorflow_message(error)
            raise LoaderError(f"TensorFlow: {message}; batch {self.step}") from error
        for fault in failed:
            self._request.faults.add(fault)
        self.order = order.without(fault.row for fault in failed)
        if self._ledger is not None:
            exchanged = dict(self.order.exchanged) | dict(self._ledger.settle(self.order))
            self.order = replace(self.order, exchanged=tuple(exchanged.items()))


class _Ledger:
    """Which rows came too early and which are outstanding, where images may overtake each other."""

    def __init__(self) -> None:
        self._outstanding: Counter[int] = Counter()

    def enter(self, expected: Rows, delivered: Rows) -> None:
        self._outstanding.update(expected.tolist())
        self._outstanding.subtract(delivered.tolist())

    def settle(self, order: Order) -> tuple[tuple[int, int], ...]:
        """The positions of rows that were delivered early, each with an outstanding row."""
        early = -self._outstanding
        outstanding = (+self._outstanding).elements()
        exchanges = []
        for begin, end in order.chunks(order.batch_size):
            if not early:
                break
            for position, row in enumerate(order.rows(begin, end).tolist(), begin):
                if early[row]:
                    early -= Counter([row])
                    exchanges.append((position, next(outstanding)))
        self._outstanding.clear()
        return tuple(exchanges)


def _first_unreadable(order: Order, manifest: Manifest, decoding: Decoding) -> list[ImageError]:
    """What fails in the next batch, else in the first batch read ahead in which anything fails."""
    ahead = replace(order, stop_step=None).chunks(order.batch_size)
    for begin, end in islice(ahead, _AHEAD):
        if failed := unreadable(order.rows(begin, end), manifest, decoding):
            return failed
    return []


def unreadable(rows: Rows, manifest: Manifest, decoding: Decoding) -> list[ImageError]:
    """An error for each of these rows that cannot be read.

    Raises:
        LimitError: a limit of the system is reached.
    """
    failed = []
    for row, path in zip(rows.tolist(), manifest.paths(rows), strict=True):
        if fault := _fault(path, row, decoding):
            failed.append(ImageError(os.fsdecode(path), row, *fault))
    return failed


def _fault(path: bytes, row: int, decoding: Decoding) -> tuple[str, str] | None:
    try:
        data = read_file(path)
    except OSError as error:
        check_limits(path, error)
        return "the system", error.strerror or str(error)
    return decoding.fault(data, row)
