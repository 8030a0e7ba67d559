"""One worker's part of every batch, where several machines train on the same batches together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from feedbench.loaders.errors import SpecError


@dataclass(frozen=True)
class Share:
    """Consecutive positions of each batch; the parts of all workers make the batch.

    The parts differ by at most one row, so that any number of workers divides any batch. Which
    rows make a batch depends on neither: a training can resume with another number of workers.

    Attributes:
        batch_size: rows of the whole batch.
        first: position of the part within the batch.
        size: rows of the part.
    """

    batch_size: int
    first: int
    size: int

    @classmethod
    def of(cls, worker: int, workers: int, batch_size: int) -> Self:
        """The part of one worker, counted from 0.

        Raises:
            SpecError: a batch has fewer rows than there are workers.
        """
        if batch_size < workers:
            raise SpecError(
                f"batch_size {batch_size} cannot be divided among {workers} workers; it must be at "
                f"least {workers}"
            )
        first, end = (number * batch_size // workers for number in (worker, worker + 1))
        return cls(batch_size, first, end - first)

    def count(self, end: int) -> int:
        """How many of the first `end` positions of the whole order belong to the part."""
        batches, rest = divmod(end, self.batch_size)
        return batches * self.size + min(max(rest - self.first, 0), self.size)

    def position(self, own: int) -> int:
        """The position in the whole order of a position of the part."""
        batch, offset = divmod(own, self.size)
        return batch * self.batch_size + self.first + offset

    def spans(self, begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Consecutive positions of the whole order that are the part's from `begin` to `end`."""
        while begin < end:
            last = min(end, (begin // self.size + 1) * self.size)
            first = self.position(begin)
            yield first, first + last - begin
            begin = last
