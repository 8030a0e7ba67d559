"""Batches that a service lost, or gave twice."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.own.coverage import Coverage, RowCounter


class Losses(NamedTuple):
    """The batches that a service lost or delivered twice.

    Attributes:
        asked_again: batches that did not come although later ones did, and were asked for again.
        discarded: batches that came twice, and were given once.
        ended_workers: how each worker process of the loader's own ended that did.
        decoded_here: images that the workers could not read, though this machine could.
    """

    asked_again: int
    discarded: int
    ended_workers: tuple[str, ...]
    decoded_here: int


@dataclass
class Ledger:
    """Counts what did not come once and in time.

    Attributes:
        rows: counts how often each row was given.
        asked_again: batches that did not come although later ones did, and were asked for again.
        discarded: batches that came once more, and were not given again.
        repeated: rows of batches that were given once more, because each worker gives all of them.
        ended_workers: how each worker process of its own ended that did.
    """

    rows: RowCounter
    asked_again: int = 0
    discarded: int = 0
    repeated: set[int] = field(default_factory=set)
    ended_workers: tuple[str, ...] = ()

    def repeat(self, rows: NDArray[np.int64]) -> None:
        """Note the rows of a batch that is given once more."""
        self.repeated.update(rows.tolist())

    def losses(self, decoded_here: int) -> Losses:
        """What was lost so far, and made up for."""
        return Losses(self.asked_again, self.discarded, self.ended_workers, decoded_here)

    def coverage(self, dropped: Collection[int]) -> Coverage | None:
        """Whether each row comes once per epoch; None before any came.

        Args:
            dropped: rows that cannot be read. Others take their places, and so come once more.
        """
        counted = self.rows.coverage(dropped)
        if counted is None:
            return None
        repeated = 0 if dropped else counted.repeated
        return Coverage(counted.left_out, max(repeated, len(self.repeated)))
