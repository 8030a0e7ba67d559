"""The seeded sequence of manifest rows that every loader follows; it can start at any step."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment.draws import UNCHANGED, Augment, Draws, unchanged
from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.errors import BudgetError
from feedbench.loaders.sampling import Numbers, Sampling, number_type
from feedbench.loaders.share import Share

Rows = NDArray[np.int64]
_NO_ROWS: Rows = np.empty(0, np.int64)


@dataclass(frozen=True)
class Order:
    """One endless or finite sequence of rows, each row at least once per epoch.

    With `sampling`, rows of rarer classes come several times.

    A batch may hold the last rows of one epoch and the first of the next, so that all batches but
    the very last are full and no row is left out.

    Attributes:
        images: rows in the manifest.
        batch_size: rows per batch; with `part`, those of this worker.
        shuffle: whether each epoch is a new full permutation.
        seed: decides the permutations and the draws.
        augment: what is drawn for each row and epoch.
        epochs: number of epochs, or None for no end.
        start_step: the first batch, counted from the start of epoch 0.
        stop_step: the batch to stop before, or None for all epochs.
        unreadable: rows to leave out; the next readable row of the order takes their place.
        exchanged: pairs of a position and the row to use there instead of its own.
        sampling: how often each row comes; once each if None.
        part: which rows of each batch are this worker's; all if None. Positions are then counted
            within the part.
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
    part: Share | None = None

    def share(self, worker: int, workers: int) -> Order:
        """The part of one of several workers, which together give each batch of this order.

        Raises:
            SpecError: a batch has fewer rows than there are workers.
        """
        if workers == 1:
            return self
        part = Share.of(worker, workers, self.batch_size)
        return replace(self, batch_size=part.size, part=part)

    @property
    def epoch_size(self) -> int:
        """Positions per epoch: a row that comes several times counts each time."""
        return self.images if self.sampling is None else self.sampling.epoch_size

    @property
    def begin(self) -> int:
        """Position of the first row."""
        return self.start_step * self.batch_size

    @property
    def end(self) -> int | None:
        """Position after the last row, or None for no end."""
        ends = []
        if self.epochs is not None:
            whole = self.epochs * self.epoch_size
            ends.append(whole if self.part is None else self.part.count(whole))
        if self.stop_step is not None:
            ends.append(self.stop_step * self.batch_size)
        return min(ends, default=None)

    @property
    def steps(self) -> int | None:
        """Number of batches from `start_step` on, or None for no end."""
        return self.chunk_count(self.batch_size)

    @property
    def steps_per_epoch(self) -> int:
        """Batches after which every row has come, over all workers."""
        whole = self.batch_size if self.part is None else self.part.batch_size
        return -(-self.epoch_size // whole)

    def epoch(self, number: int) -> Rows:
        """All rows of one epoch, int64 `[epoch_size]`, read-only."""
        rows: Rows = self._epoch(number)[0].astype(np.int64)
        rows.setflags(write=False)
        return rows

    def _epoch(self, number: int) -> tuple[Numbers, Numbers]:
        return _epoch(self.images, number, self.seed, self.shuffle, self.sampling)

    def rows(self, begin: int, end: int) -> Rows:
        """The rows at positions `begin` to `end` of the sequence, int64."""
        rows = np.concatenate([_NO_ROWS, *(rows for rows, _ in self._all_pieces(begin, end))])
        for position, row in self.exchanged:
            if begin <= position < end:
                rows[position - begin] = row
        if self.unreadable:
            for index in np.flatnonzero(np.isin(rows, list(self.unreadable))):
                rows[index] = self._next_readable(self._position(begin + int(index)))
        return rows

    def without(self, rows: Iterable[int]) -> Order:
        """The same order with further unreadable rows."""
        return replace(self, unreadable=self.unreadable | frozenset(rows))

    def _position(self, own: int) -> int:
        return own if self.part is None else self.part.position(own)

    def _spans(self, begin: int, end: int) -> Iterable[tuple[int, int]]:
        """The positions in the whole order, in consecutive pieces."""
        return [(begin, end)] if self.part is None else self.part.spans(begin, end)

    def _next_readable(self, position: int) -> int:
        """The first readable row from a position of the whole order on."""
        if len(self.unreadable) >= self.images:
            raise BudgetError("no image can be read; feedbench scan says why")
        while True:
            number, index = divmod(position, self.epoch_size)
            row = int(self.epoch(number)[index])
            if row not in self.unreadable:
                return row
            position += 1

    def _rows_and_copies(self, begin: int, end: int) -> tuple[Rows, Rows]:
        """Rows of the permutations, and how many times each has been in its epoch before."""
        pieces = [(_NO_ROWS, _NO_ROWS), *self._all_pieces(begin, end)]
        return (
            np.concatenate([rows for rows, _ in pieces]),
            np.concatenate([copies for _, copies in pieces]),
        )

    def _all_pieces(self, begin: int, end: int) -> Iterator[tuple[Numbers, Numbers]]:
        return (
            piece for start, stop in self._spans(begin, end) for piece in self._pieces(start, stop)
        )

    def _pieces(self, begin: int, end: int) -> Iterator[tuple[Rows, Rows]]:
        """The same for positions of the whole order, a piece per epoch."""
        while begin < end:
            number, first = divmod(begin, self.epoch_size)
            last = min(self.epoch_size, first + end - begin)
            rows, copies = self._epoch(number)
            yield rows[first:last], copies[first:last]
            begin += last - first

    def draws(self, begin: int, end: int) -> Draws:
        """The augmentation parameters of the images at positions `begin` to `end`."""
        if not self._augments:  # then neither rows nor epochs matter
            return unchanged(end - begin)
        epochs, copies = self._epochs_and_copies(begin, end)
        return self.draws_of(epochs, self.rows(begin, end), copies)

    @cached_property
    def _augments(self) -> bool:
        """Whether there are draws; to compare all fields of the augmentation takes a while."""
        return bool(self.augment)

    def _epochs_and_copies(self, begin: int, end: int) -> tuple[Rows, Any]:
        epochs = self.epochs_at(begin, end)
        return epochs, 0 if self.sampling is None else self._rows_and_copies(begin, end)[1]

    def epochs_at(self, begin: int, end: int) -> Rows:
        """The epoch of each of these positions, int64."""
        spans = [np.empty(0, np.int64), *(np.arange(*span) for span in self._spans(begin, end))]
        epochs: Rows = np.concatenate(spans) // self.epoch_size
        return epochs

    def draws_of(self, epochs: Any, rows: Rows, copies: Any = 0) -> Draws:
        """The augmentation parameters of rows in their epochs, fixed by seed, epoch and row."""
        return self.augment.draw(self.seed, epochs, rows, copies)

    def crops(self, begin: int, end: int) -> Crops | None:
        """The random-resized crops at these positions; None if images are used whole."""
        if self.augment.random_resized_crop is None:
            return None
        epochs, copies = self._epochs_and_copies(begin, end)
        return self.augment.draw_crops(self.seed, epochs, self.rows(begin, end), copies)

    def chunks(self, size: int) -> Iterator[tuple[int, int]]:
        """Positions `(begin, end)` of consecutive chunks of `size`; the last may be shorter."""
        count = self.chunk_count(size)
        numbers = itertools.count() if count is None else range(count)
        return (self.chunk(number, size) for number in numbers)

    def chunk(self, number: int, size: int) -> tuple[int, int]:
        """Positions `(begin, end)` of one of the chunks."""
        begin = self.begin + number * size
        end, last = begin + size, self.end
        return begin, end if last is None else min(end, last)

    def chunk_count(self, size: int) -> int | None:
        """Number of chunks, or None for no end."""
        return None if self.end is None else max(0, -(-(self.end - self.begin) // size))

    @property
    def first_full_step(self) -> int:
        """The first step at which every row has come since `start_step`; a part has none."""
        epoch = -(-self.begin // self.epoch_size)
        return -(-(epoch + 1) * self.epoch_size // self.batch_size)

    def split_at(self, step: int) -> tuple[Order, Order]:
        """The order before a step and the order from it on; either may be empty."""
        stop = step if self.stop_step is None else min(step, self.stop_step)
        return replace(self, stop_step=stop), replace(self, start_step=max(step, self.start_step))


# Two epochs each of the training and of the validation between them: a permutation of ten million
# rows takes 0.3 s, in which no other thread of Python runs.
@lru_cache(maxsize=4)
def _epoch(
    images: int, number: int, seed: int, shuffle: bool, sampling: Sampling | None
) -> tuple[Numbers, Numbers]:
    """Rows and copies of one epoch."""
    random = np.random.default_rng([seed, number])
    if sampling is None:
        # Cast, not drawn as such: a shuffle of smaller numbers gives another order.
        rows = (random.permutation(images) if shuffle else np.arange(images)).astype(
            number_type(images)
        )
        copies = np.broadcast_to(np.int64(0), images)
    else:
        rows, copies = sampling.epoch(number, seed)
        if shuffle:
            shuffled = random.permutation(len(rows))
            rows, copies = rows[shuffled], copies[shuffled]
    rows.setflags(write=False)
    copies.setflags(write=False)
    return rows, copies
