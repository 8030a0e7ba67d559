"""The seeded sequence of manifest rows that every loader follows, enterable at any step."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment import UNCHANGED, Augment, Draws
from feedbench.loaders.sampling import Sampling

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Order:
    """One endless or finite sequence of rows, each row at least once an epoch.

    With `sampling`, rows of rarer classes come several times.

    Epochs follow each other without a seam: a batch may hold the last rows of one epoch and the
    first of the next, so that all batches but the very last are full and no row is dropped.

    Attributes:
        images: rows in the manifest.
        batch_size: rows in a batch.
        shuffle: whether each epoch is a new full permutation.
        seed: decides the permutations and what is drawn.
        augment: what is drawn for each row and epoch.
        epochs: how many epochs, or None for no end.
        start_step: the batch to begin with, counted from the first of epoch 0.
        stop_step: the batch to end before, or None for all of the epochs.
        unreadable: rows that are not given; the next readable one of the order takes the place.
        exchanged: pairs of a position and the row that is given there instead of its own.
        sampling: how often each row comes; once each if None.
    """

    images: int
    batch_size: int
    shuffle: bool = True
    seed: int = 0
    augment: Augment = UNCHANGED
    epochs: int | None = None
    start_step: int = 0
    stop_step: int | None = None
    unreadable: frozenset[int] = frozenset()
    exchanged: tuple[tuple[int, int], ...] = ()
    sampling: Sampling | None = None

    @property
    def epoch_size(self) -> int:
        """Positions of an epoch: its images, each as often as it comes."""
        return self.images if self.sampling is None else self.sampling.epoch_size

    @property
    def begin(self) -> int:
        """Position of the first row to give."""
        return self.start_step * self.batch_size

    @property
    def end(self) -> int | None:
        """Position after the last row, None without end."""
        ends = []
        if self.epochs is not None:
            ends.append(self.epochs * self.epoch_size)
        if self.stop_step is not None:
            ends.append(self.stop_step * self.batch_size)
        return min(ends, default=None)

    @property
    def steps(self) -> int | None:
        """Batches that remain from `start_step`, None without end."""
        return self.count_of(self.batch_size)

    def epoch(self, number: int) -> Rows:
        """All rows of one epoch, int64 `[epoch_size]`; not to be written to."""
        return self._epoch(number)[0]

    def _epoch(self, number: int) -> tuple[Rows, Rows]:
        return _epoch(self.images, number, self.seed, self.shuffle, self.sampling)

    def rows(self, begin: int, end: int) -> Rows:
        """The rows at positions `begin` to `end` of the sequence, int64."""
        rows = self._drawn(begin, end)
        for position, row in self.exchanged:
            if begin <= position < end:
                rows[position - begin] = row
        if self.unreadable:
            for index in np.flatnonzero(np.isin(rows, list(self.unreadable))):
                rows[index] = self._next_readable(begin + int(index))
        return rows

    def without(self, rows: Iterable[int]) -> Order:
        """The same order with some more rows that cannot be read."""
        return replace(self, unreadable=self.unreadable | frozenset(rows))

    def _next_readable(self, position: int) -> int:
        if len(self.unreadable) >= self.images:
            raise ValueError("no row of the order can be read")
        while (row := int(self._drawn(position, position + 1)[0])) in self.unreadable:
            position += 1
        return row

    def _drawn(self, begin: int, end: int) -> Rows:
        return self._given(begin, end)[0]

    def _given(self, begin: int, end: int) -> tuple[Rows, Rows]:
        """Rows, and which of several times in its epoch each comes."""
        pieces = [(np.empty(0, np.int64), np.empty(0, np.int64))]
        while begin < end:
            number, first = divmod(begin, self.epoch_size)
            last = min(self.epoch_size, first + end - begin)
            rows, copies = self._epoch(number)
            pieces.append((rows[first:last], copies[first:last]))
            begin += last - first
        return (
            np.concatenate([rows for rows, _ in pieces]),
            np.concatenate([copies for _, copies in pieces]),
        )

    def draws(self, begin: int, end: int) -> Draws:
        """What happens to the images at positions `begin` to `end`."""
        epochs = np.arange(begin, end) // self.epoch_size
        copies = 0 if self.sampling is None else self._given(begin, end)[1]
        return self.draws_of(epochs, self.rows(begin, end), copies)

    def draws_of(self, epochs: Any, rows: Rows, copies: Any = 0) -> Draws:
        """What happens to some rows in their epochs: fixed by seed, epoch and row."""
        return self.augment.drawn(self.seed, epochs, rows, copies)

    def pieces(self, size: int) -> Iterator[tuple[int, int]]:
        """Positions `(begin, end)` of consecutive pieces of `size` rows, the last maybe shorter."""
        count = self.count_of(size)
        numbers = itertools.count() if count is None else range(count)
        return (self.piece(number, size) for number in numbers)

    def piece(self, number: int, size: int) -> tuple[int, int]:
        """Positions `(begin, end)` of one of the `pieces`."""
        begin = self.begin + number * size
        end = begin + size
        return begin, end if self.end is None else min(end, self.end)

    def count_of(self, size: int) -> int | None:
        """How many `pieces` there are, None without end."""
        return None if self.end is None else max(0, -(-(self.end - self.begin) // size))

    @property
    def first_full_step(self) -> int:
        """The first step before which every row has been given since `start_step`."""
        epoch = -(-self.begin // self.epoch_size)
        return -(-(epoch + 1) * self.epoch_size // self.batch_size)

    def split_at(self, step: int) -> tuple[Order, Order]:
        """What comes before a step and what comes from it on; either may be empty."""
        stop = step if self.stop_step is None else min(step, self.stop_step)
        return replace(self, stop_step=stop), replace(self, start_step=max(step, self.start_step))


@lru_cache(maxsize=2)
def _epoch(
    images: int, number: int, seed: int, shuffle: bool, sampling: Sampling | None
) -> tuple[Rows, Rows]:
    """Rows and copies of one epoch."""
    random = np.random.default_rng([seed, number])
    if sampling is None:
        rows = random.permutation(images) if shuffle else np.arange(images, dtype=np.int64)
        copies = np.broadcast_to(np.int64(0), images)
    else:
        rows, copies = sampling.epoch(number, seed)
        if shuffle:
            taken = random.permutation(len(rows))
            rows, copies = rows[taken], copies[taken]
    rows.setflags(write=False)
    copies.setflags(write=False)
    return rows, copies
