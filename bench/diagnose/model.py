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
    "service workers",
    "network",
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

    Attributes:
        work_s: of each part that is work, on the cores that the loader uses.
        consumer_s: of the consumer alone.
        storage_s: of the storage, with as many reads in flight as the loader has workers.
        storage_kappa: how far these reads overlap the work, see `joined_s`. Where each worker waits
            for its own read, it is 1; where the storage is the limit of all of them, it is 0.
        wait_s: where the storage is that limit, what single reads would take if workers waited for
            them in turn with their work, which cannot be seen while it is.
        copy_s: of the one thread that copies all batches beside the workers; 0 if there is none.
        network_s: of the network over which the batches come; 0 if there is none.
        network_kappa: how far that overlaps everything before it, see `joined_s`.
        kappa: how far loader and consumer overlap, see `joined_s`.
        slowdown: measured end to end, divided by what the model gives without it.
    """

    work_s: Mapping[Cause, float]
    consumer_s: float
    storage_s: float = 0.0
    storage_kappa: float = 1.0
    wait_s: float = 0.0
    copy_s: float = 0.0
    network_s: float = 0.0
    network_kappa: float = 0.0
    kappa: float = 0.0
    slowdown: float = 1.0

    @property
    def loader_s(self) -> float:
        """Seconds per image of the loader alone."""
        work_s = sum(self.work_s.values())
        made_s = max(self.copy_s, joined_s(self.storage_s, work_s, self.storage_kappa))
        return joined_s(self.network_s, made_s, self.network_kappa)

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
        network: list[Cause] = ["network"] if self.network_s else []
        return [*self.work_s, *network, "interference"]

    def without(self, causes: Collection[Cause]) -> Self:
        """Return the model with some causes taken away."""
        changed = replace(self, work_s={**self.work_s, **dict.fromkeys(self._worked(causes), 0.0)})
        if "storage" in causes:
            changed = replace(changed, storage_s=0.0, wait_s=0.0)
        if "batch copy" in causes:
            changed = replace(changed, copy_s=0.0)
        if "network" in causes:
            changed = replace(changed, network_s=0.0)
        if "interference" in causes:
            changed = replace(changed, kappa=0.0, slowdown=min(1.0, self.slowdown))
        return changed

    def with_faster_storage(self, times: float, *, in_turn: bool = False) -> Self:
        """Return the model with storage that many times as fast; the work of reading stays.

        Args:
            times: how many.
            in_turn: whether workers wait for single reads in turn with their work, where the
                storage is the limit of all of them now.
        """
        storage_s, wait_s = self.storage_s / times, self.wait_s / times
        if in_turn and wait_s:
            storage_s = max(storage_s, sum(self.work_s.values()) + wait_s)
        return replace(self, storage_s=storage_s, wait_s=wait_s)

    def with_work(self, factors: Mapping[Cause, float]) -> Self:
        """Return the model with the time of some parts multiplied."""
        work_s = {cause: part_s * factors.get(cause, 1.0) for cause, part_s in self.work_s.items()}
        return replace(self, work_s=work_s, copy_s=self.copy_s * factors.get("batch copy", 1.0))

    def with_loader(self, loader_s: float) -> Self:
        """Return the model with a loader of which only the seconds per image are known."""
        work_s: dict[Cause, float] = {"unexplained": loader_s}
        return replace(self, work_s=work_s, storage_s=0.0, wait_s=0.0, copy_s=0.0, network_s=0.0)

    def with_consumer(self, consumer_s: float) -> Self:
        """Return the model with a consumer of these seconds per image."""
        return replace(self, consumer_s=consumer_s)

    def _worked(self, causes: Collection[Cause]) -> list[Cause]:
        return [cause for cause in causes if cause in self.work_s]
