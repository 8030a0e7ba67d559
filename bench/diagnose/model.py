"""A model of the seconds per image: how the parts of a loader and its consumer overlap."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from typing import Literal, Self

Cause = Literal[
    "storage",
    "decoding",
    "transform",
    "batch copy",
    "Python",
    "unexplained",
    "interference",
    "transfer",
    "accelerator",
]


def joined_s(one_s: float, other_s: float, kappa: float) -> float:
    """Return the seconds of two activities.

    Args:
        one_s: seconds of one of them alone.
        other_s: seconds of the other.
        kappa: 0 if they overlap entirely, 1 if one follows the other, more if each slows the other.
    """
    return max(one_s, other_s) + kappa * min(one_s, other_s)


@dataclass(frozen=True)
class Model:
    """Where the time per image goes, in seconds per image.

    A worker waits for its own read and then works on the image, so waiting and work add up. All
    workers together cannot read faster than the storage delivers, and batches that one thread
    copies cannot come faster than that thread copies them.

    Attributes:
        storage_s: of the storage, with as many reads in flight as are fastest.
        wait_s: of a worker's wait for its read, divided by the number of workers.
        work_s: of each part that is work, on the cores that the loader uses.
        copy_s: of the one thread that copies all batches; 0 if each worker copies.
        consumer_s: of the consumer alone.
        kappa: how far loader and consumer overlap, see `joined_s`.
        slowdown: measured end to end, divided by what the model gives without it.
    """

    work_s: Mapping[Cause, float]
    consumer_s: float
    storage_s: float = 0.0
    wait_s: float = 0.0
    copy_s: float = 0.0
    kappa: float = 0.0
    slowdown: float = 1.0

    @property
    def loader_s(self) -> float:
        """Seconds per image of the loader alone."""
        return max(self.storage_s, self.copy_s, self.wait_s + sum(self.work_s.values()))

    @property
    def end_to_end_s(self) -> float:
        """Seconds per image end to end; the consumer never gets faster than it is alone."""
        both_s = joined_s(self.loader_s, self.consumer_s, self.kappa)
        return max(self.consumer_s, both_s * self.slowdown)

    @property
    def rate(self) -> float:
        """Images per second end to end."""
        return 1 / self.end_to_end_s

    @property
    def idle_s(self) -> float:
        """Seconds per image for which the consumer has nothing to do."""
        return self.end_to_end_s - self.consumer_s

    @property
    def causes(self) -> list[Cause]:
        """What can be taken away by `without`."""
        return [*self.work_s, "interference"]

    def without(self, causes: Collection[Cause]) -> Self:
        """Return the model with some causes taken away."""
        changed = replace(self, work_s={**self.work_s, **dict.fromkeys(self._worked(causes), 0.0)})
        if "storage" in causes:
            changed = replace(changed, storage_s=0.0, wait_s=0.0)
        if "batch copy" in causes:
            changed = replace(changed, copy_s=0.0)
        if "interference" in causes:
            changed = replace(changed, kappa=0.0, slowdown=min(1.0, self.slowdown))
        return changed

    def with_faster_storage(self, times: float) -> Self:
        """Return the model with storage that many times as fast; the work of reading stays."""
        return replace(self, storage_s=self.storage_s / times, wait_s=self.wait_s / times)

    def with_work(self, factors: Mapping[Cause, float]) -> Self:
        """Return the model with the time of some parts multiplied."""
        work_s = {cause: part_s * factors.get(cause, 1.0) for cause, part_s in self.work_s.items()}
        return replace(self, work_s=work_s, copy_s=self.copy_s * factors.get("batch copy", 1.0))

    def with_loader(self, loader_s: float) -> Self:
        """Return the model with a loader of which only the seconds per image are known."""
        work_s: dict[Cause, float] = {"unexplained": loader_s}
        return replace(self, work_s=work_s, storage_s=0.0, wait_s=0.0, copy_s=0.0)

    def with_consumer(self, consumer_s: float) -> Self:
        """Return the model with a consumer of these seconds per image."""
        return replace(self, consumer_s=consumer_s)

    def _worked(self, causes: Collection[Cause]) -> list[Cause]:
        return [cause for cause in causes if cause in self.work_s]
