"""The moments at which each batch was asked for and arrived, where `fit` iterates in Python."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import Any, NamedTuple, Protocol, Self


class Fetch(NamedTuple):
    """One batch.

    Attributes:
        asked: seconds of `perf_counter` at which `fit` asked for it.
        arrived: seconds at which `fit` had it.
        images: its first axis.
    """

    asked: float
    arrived: float
    images: int


class Fetches(Protocol):
    """Notes when the batches of one `fit` were asked for and arrived.

    Attributes:
        capacity: number of batches that are noted; later ones are only counted.
        keeps: why no batch is kept for `ceiling`; None if one is.
        batch: the batch that was kept; None if there is none yet.
    """

    capacity: int
    keeps: str | None
    batch: Any

    def wrap(self, batches: Any) -> Any:
        """Return the same batches of one epoch, in the form in which the backend takes them."""

    def count(self) -> int:
        """Return the number of batches that have arrived so far."""

    def read(self) -> list[Fetch]:
        """Return all that was noted so far."""


class PythonFetches:
    """Notes the batches of JAX and Torch, whose `fit` takes them from a Python iterator."""

    def __init__(self, capacity: int, keep_at: int | None) -> None:
        """Prepare for up to `capacity` batches; the one at index `keep_at` is kept, if any."""
        self.capacity = capacity
        self.keeps: str | None = None
        self.batch: Any = None
        self._keep_at = keep_at
        self._count = 0
        self._noted: list[Fetch] = []

    def wrap(self, batches: Iterable[Any]) -> Iterator[Any]:
        """Return the same batches."""
        return _Timed(batches, self)

    def count(self) -> int:
        """Return the number of batches that have arrived so far."""
        return self._count

    def read(self) -> list[Fetch]:
        """Return all that was noted so far."""
        return self._noted.copy()

    def note(self, asked: float, arrived: float, batch: Any) -> None:
        """Note one batch."""
        if self._count < self.capacity:
            self._noted.append(Fetch(asked, arrived, _images_in(batch)))
        if self._count == self._keep_at:
            self.batch = batch
        self._count += 1


class _Timed:
    def __init__(self, batches: Iterable[Any], fetches: PythonFetches) -> None:
        self._batches = batches
        self._fetches = fetches
        self._iterator: Iterator[Any] = iter(())

    def __iter__(self) -> Self:
        self._iterator = iter(self._batches)
        return self

    def __next__(self) -> Any:
        asked = perf_counter()
        batch = next(self._iterator)
        self._fetches.note(asked, perf_counter(), batch)
        return batch


def _images_in(batch: Any) -> int:
    """Return the first axis of the first array; 1 if there is none."""
    while isinstance(batch, (tuple, list, dict)) and batch:
        batch = next(iter(batch.values())) if isinstance(batch, dict) else batch[0]
    shape = getattr(batch, "shape", ())
    return int(shape[0]) if shape else 1
