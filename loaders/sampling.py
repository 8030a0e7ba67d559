"""How often each image comes in an epoch, so that rare classes are seen more often."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Sampling:
    """Oversampling by class: no image is left out, those of rarer classes come again.

    Attributes:
        labels: int32 `[rows]`, each row's class.
        images: int64 `[classes]`, positions of each class in an epoch.
    """

    labels: NDArray[np.int32]
    images: NDArray[np.int64]

    @classmethod
    def of(cls, labels: NDArray[np.int32], classes: int, balance: float) -> Sampling | None:
        """Class frequency to the power of 1 - `balance`, the largest class as it is.

        None where every row comes once.
        """
        if not balance:
            return None
        counts = np.bincount(labels, minlength=classes)
        largest = counts.max(initial=1)
        wanted = largest * (counts / largest) ** (1 - balance)
        return cls(labels, np.where(counts > 0, np.rint(wanted), 0).astype(np.int64))

    @property
    def epoch_size(self) -> int:
        """Positions of an epoch."""
        return int(self.images.sum())

    def epoch(self, number: int, seed: int) -> tuple[Rows, Rows]:
        """Rows of one epoch, class by class, and which of several times each comes.

        All rows of a class come equally often, but for some, drawn anew each epoch, that come once
        more.
        """
        rows: list[Rows] = []
        copies: list[Rows] = []
        for label, wanted in enumerate(self.images.tolist()):
            own = np.flatnonzero(self.labels == label)
            if not wanted:
                continue
            times, more = divmod(wanted, len(own))
            drawn = np.random.default_rng([seed, number, label]).permutation(own)[:more]
            rows += [np.tile(own, times), drawn]
            copies += [np.repeat(np.arange(times), len(own)), np.full(more, times)]
        return np.concatenate(rows), np.concatenate(copies)
