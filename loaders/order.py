"""The seeded sequence of manifest rows that every loader follows, enterable at any step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class Order:
    """One endless or finite sequence of rows, each row once an epoch.

    Epochs follow each other without a seam: a batch may hold the last rows of one epoch and the
    first of the next, so that all batches but the very last are full and no row is dropped.

    Attributes:
        images: rows in the manifest.
        batch_size: rows in a batch.
        shuffle: whether each epoch is a new full permutation.
        seed: decides the permutations and the flips.
        flip: whether half of the images, drawn for each row and epoch, are to be mirrored.
        epochs: how many epochs, or None for no end.
        start_step: the batch to begin with, counted from the first of epoch 0.
        stop_step: the batch to end before, or None for all of the epochs.
        unreadable: rows that are not given; the next readable one of the order takes the place.
        exchanged: pairs of a position and the row that is given there instead of its own.
    """

    images: int
    batch_size: int
    shuffle: bool = True
    seed: int = 0
    flip: bool = False
    epochs: int | None = None
    start_step: int = 0
    stop_step: int | None = None
    unreadable: frozenset[int] = frozenset()
    exchanged: tuple[tuple[int, int], ...] = ()

    @property
    def begin(self) -> int:
        """Position of the first row to give."""
        return self.start_step * self.batch_size

    @property
    def end(self) -> int | None:
        """Position after the last row, None without end."""
        ends = []
        if self.epochs is not None:
            ends.append(self.epochs * self.images)
        if self.stop_step is not None:
            ends.append(self.stop_step * self.batch_size)
        return min(ends, default=None)

    @property
    def steps(self) -> int | None:
        """Batches that remain from `start_step`, None without end."""
        if self.end is None:
            return None
        return max(0, -(-(self.end - self.begin) // self.batch_size))

    def epoch(self, number: int) -> Rows:
        """All rows of one epoch, int64 `[images]`; not to be written to."""
        return _permutation(self.images, number, self.seed, self.shuffle)

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
        pieces = []
        while begin < end:
            number, first = divmod(begin, self.images)
            last = min(self.images, first + end - begin)
            pieces.append(self.epoch(number)[first:last])
            begin += last - first
        return np.concatenate(pieces) if pieces else np.empty(0, np.int64)

    def flips(self, begin: int, end: int) -> Flags:
        """Which images at positions `begin` to `end` are mirrored."""
        return self.flips_of(np.arange(begin, end) // self.images, self.rows(begin, end))

    def flips_of(self, epochs: Rows, rows: Rows) -> Flags:
        """Which of some rows are mirrored in their epochs: fixed by seed, epoch and row."""
        if not self.flip:
            return np.zeros(len(rows), np.bool_)
        drawn = _mix(
            _mix(_mix(np.uint64(self.seed)) ^ epochs.astype(np.uint64)) ^ rows.astype(np.uint64)
        )
        return (drawn & np.uint64(1)).astype(np.bool_)

    def pieces(self, size: int) -> Iterator[tuple[int, int]]:
        """Positions `(begin, end)` of consecutive pieces of `size` rows, the last maybe shorter."""
        begin = self.begin
        while self.end is None or begin < self.end:
            end = begin + size if self.end is None else min(begin + size, self.end)
            yield begin, end
            begin = end

    @property
    def first_full_step(self) -> int:
        """The first step before which every row has been given since `start_step`."""
        epoch = -(-self.begin // self.images)
        return -(-(epoch + 1) * self.images // self.batch_size)

    def split_at(self, step: int) -> tuple[Order, Order]:
        """What comes before a step and what comes from it on; either may be empty."""
        stop = step if self.stop_step is None else min(step, self.stop_step)
        return replace(self, stop_step=stop), replace(self, start_step=max(step, self.start_step))

    def batch(self, step: int) -> tuple[int, int]:
        """Positions `(begin, end)` of the batch `step` steps after `start_step`."""
        begin = self.begin + step * self.batch_size
        end = begin + self.batch_size
        return begin, end if self.end is None else min(end, self.end)


@lru_cache(maxsize=2)
def _permutation(images: int, epoch: int, seed: int, shuffle: bool) -> Rows:
    if shuffle:
        rows = np.random.default_rng([seed, epoch]).permutation(images)
    else:
        rows = np.arange(images, dtype=np.int64)
    rows.setflags(write=False)
    return rows


def _mix(value: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    """Scatter 64-bit integers. Source: the finalizer of SplitMix64 (Steele, Lea, Flood, 2014)."""
    with np.errstate(over="ignore"):
        mixed = np.asarray(value) + np.uint64(0x9E3779B97F4A7C15)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return np.asarray(mixed ^ (mixed >> np.uint64(31)))
