"""How often each row of a manifest has come, where a user's batches say so."""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

_EPOCHS = 2  # after which a row that never came is one that is left out


class Coverage(NamedTuple):
    """Whether each image comes once per epoch.

    Attributes:
        left_out: rows that have not come in two epochs; 0 while there were fewer.
        repeated: rows that came more often than once per epoch.
    """

    left_out: int
    repeated: int


class RowCounter:
    """Counts how often each row comes; about 5 µs per batch."""

    def __init__(self, images: int, first_step: int = 0) -> None:
        """Begin.

        Args:
            images: rows of the manifest.
            first_step: step of the first batch that is counted.
        """
        self._counts = np.zeros(images, np.int32)
        self._begins_within = first_step > 0
        self._batches = 0

    def add(self, rows: NDArray[np.int64]) -> None:
        """Count the rows of a batch."""
        np.add.at(self._counts, rows, 1)
        self._batches += 1

    def coverage(self, dropped: Collection[int] = ()) -> Coverage | None:
        """What was counted so far; None without any row.

        Args:
            dropped: rows that are known to be missing.
        """
        given = int(self._counts.sum())
        if not given:
            return None
        never = self._counts == 0
        missing = int(never[list(dropped)].sum())
        images = len(self._counts) - missing
        # An epoch may leave out what does not fill a batch.
        rest = images % (given // self._batches)
        epoch = images - rest if rest < images else images
        left_out = int(never.sum()) - missing if given >= _EPOCHS * images else 0
        # The first epoch may have begun before: batches then are of one more.
        most = -(-given // epoch) + self._begins_within
        return Coverage(left_out, int((self._counts > most).sum()))
