"""How often each image comes in an epoch: rare classes can be oversampled."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Numbers = NDArray[Any]  # integers, of 4 bytes each where these are enough


@dataclass(frozen=True, eq=False)
class Sampling:
    """Oversampling by class: no image is left out, those of rarer classes come several times.

    Attributes:
        labels: int32 `[rows]`, each row's class.
        images: int64 `[classes]`, images of each class per epoch.
    """

    labels: NDArray[np.int32]
    images: NDArray[np.int64]

    @classmethod
    def of(cls, labels: NDArray[np.int32], classes: int, balance: float) -> Sampling | None:
        """Class frequencies to the power of 1 - `balance`; the largest class keeps its size.

        None if every row comes once.
        """
        if not balance:
            return None
        counts = np.bincount(labels, minlength=classes)
        largest = counts.max(initial=1)
        wanted = largest * (counts / largest) ** (1 - balance)
        return cls(labels, np.where(counts > 0, np.rint(wanted), 0).astype(np.int64))

    @property
    def epoch_size(self) -> int:
        """Positions per epoch."""
        return int(self.images.sum())

    def epoch(self, number: int, seed: int) -> tuple[Numbers, Numbers]:
        """Rows of one epoch, class by class, and how many times each has come before.

        Rows of a class repeat equally often; the remainder is a random subset of them, drawn again
        each epoch.
        """
        rows = np.empty(self.epoch_size, number_type(len(self.labels)))
        copies = np.empty(self.epoch_size, np.int32)
        begin = 0
        for label, wanted in enumerate(self.images.tolist()):
            if not wanted:
                continue
            of_class = self._rows[label]
            times, remainder = divmod(wanted, len(of_class))
            random = np.random.default_rng([seed, number, label])
            end, middle = begin + wanted, begin + wanted - remainder
            rows[begin:middle] = np.tile(of_class, times)
            rows[middle:end] = random.permutation(of_class)[:remainder]
            copies[begin:middle] = np.repeat(np.arange(times), len(of_class))
            copies[middle:end] = times
            begin = end
        return rows, copies

    @cached_property
    def _rows(self) -> list[Rows]:
        return rows_by_class(self.labels, len(self.images))


def rows_by_class(labels: NDArray[np.int32], classes: int) -> list[Rows]:
    """The rows of each class in ascending order, by one sort: classes may be many."""
    rows = np.argsort(labels, kind="stable")
    ends = np.cumsum(np.bincount(labels, minlength=classes))
    return np.split(rows, ends[:-1])


def number_type(count: int) -> type[np.int32] | type[np.int64]:
    """The smallest type of numbers up to `count`: an epoch of many rows is large."""
    return np.int32 if count <= np.iinfo(np.int32).max else np.int64
