"""Numbers of images by true and predicted class, as a list of the pairs that have any.

A cell for each pair would take 3.8 GB with the 21,841 classes of ImageNet-21k, while no more pairs
have an image than there are images.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ClassPairs:
    """Pairs of a true and a predicted class that have an image, sorted by true, then predicted.

    Attributes:
        classes: number of classes.
        true: true class of each pair, int64 `[pairs]`.
        predicted: predicted class of each pair, int64 `[pairs]`.
        images: images of each pair, int64 `[pairs]`.
    """

    classes: int
    true: Counts
    predicted: Counts
    images: Counts

    @classmethod
    def of(cls, true: NDArray[Any], predicted: NDArray[Any], classes: int) -> ClassPairs:
        """The pairs of some images, given the two classes of each."""
        numbers = np.asarray(true, np.int64) * classes + predicted
        pairs, images = np.unique(numbers, return_counts=True)
        return cls(classes, *np.divmod(pairs, classes), images.astype(np.int64))

    @property
    def total(self) -> int:
        """Number of images."""
        return int(self.images.sum())

    @property
    def are_right(self) -> NDArray[np.bool_]:
        """Which pairs are of the same class, bool `[pairs]`."""
        return np.asarray(self.true == self.predicted)

    @property
    def by_true(self) -> Counts:
        """Images of each true class, int64 `[classes]`."""
        return self._sums(self.true, self.images)

    @property
    def by_predicted(self) -> Counts:
        """Images of each predicted class, int64 `[classes]`."""
        return self._sums(self.predicted, self.images)

    @property
    def right(self) -> Counts:
        """Images of each class that are recognized, int64 `[classes]`."""
        return self._sums(self.true, np.where(self.are_right, self.images, 0))

    def most_confused(self, most: int) -> list[tuple[int, int, int]]:
        """True and predicted class and images of the most frequent mistakes, up to this many."""
        wrong = np.flatnonzero(~self.are_right)
        chosen = wrong[np.argsort(-self.images[wrong], kind="stable")[:most]]
        columns = (self.true[chosen], self.predicted[chosen], self.images[chosen])
        return list(zip(*(column.tolist() for column in columns), strict=True))

    def matrix(self, cells: int) -> Counts:
        """Images by true (rows) and predicted class, int64 `[side, side]` of at most `cells` each.

        With more classes than that, a row or column stands for several consecutive ones.
        """
        step = self.step(cells)
        side = -(-self.classes // step)
        counts = np.zeros((side, side), np.int64)
        np.add.at(counts, (self.true // step, self.predicted // step), self.images)
        return counts

    def step(self, cells: int) -> int:
        """Classes that a row of `matrix` stands for."""
        return max(1, -(-self.classes // cells))

    def _sums(self, classes: Counts, images: Counts) -> Counts:
        return np.bincount(classes, images, self.classes).astype(np.int64)
