"""What one worker of a training on several machines did, for the record of all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from feedbench.bench.environment import environment
from feedbench.bench.meters.process import Usage, tree_peak_memory, tree_usage
from feedbench.bench.record import Dropped

if TYPE_CHECKING:
    from feedbench.trainer import Epoch, Position

_OF_MACHINE = ("processor", "cores", "memory_bytes", "gpus", "system")


@dataclass(frozen=True)
class Part:
    """One worker's part of a training.

    Attributes:
        share: of each batch, equal for all workers.
        epochs: those that it trained, from `trained_since`, with the images of all workers.
        dropped: images that it could not read.
        usage: CPU time and bytes read while it trained.
    """

    share: float
    epochs: tuple[Epoch, ...]
    dropped: tuple[Dropped, ...]
    usage: Usage


class UsageMeter:
    """Counts what this process and its children use from now on."""

    def __init__(self) -> None:
        self._before = tree_usage()

    def part(self, share: float, epochs: Sequence[Epoch], dropped: Sequence[Dropped]) -> Part:
        """Return this worker's part up to now."""
        return Part(share, tuple(epochs), tuple(dropped), tree_usage().since(self._before))


def trained_since(begin: Position, epochs: Sequence[Epoch]) -> list[Epoch]:
    """Return what a process has trained of all epochs; it may have begun within one.

    Args:
        begin: where it began.
        epochs: from the first on.
    """
    own = list(epochs[len(begin.history) :])
    if own:
        own[0] = replace(
            own[0],
            images=own[0].images - begin.epoch_images,
            train_s=own[0].train_s - begin.train_s,
            wait_s=own[0].wait_s - begin.wait_s,
        )
    return own


def worker_record(part: Part, worker: int, address: str) -> dict[str, Any]:
    """Return a worker's part as training.json has it."""
    seconds = sum(epoch.train_s for epoch in part.epochs)
    images = sum(epoch.images for epoch in part.epochs) * part.share
    facts = environment()
    return {
        "worker": worker,
        "address": address,
        "images": round(images),
        "images_per_second": images / seconds if seconds else None,
        "wait_share": sum(epoch.wait_s for epoch in part.epochs) / seconds if seconds else None,
        "cpu_s": part.usage.cpu_s,
        "disk_read_bytes": part.usage.read_bytes if part.usage.disk_known else None,
        "peak_memory_bytes": tree_peak_memory(),
        "dropped": [image.model_dump() for image in part.dropped],
        "epochs": [
            {"epoch": epoch.epoch, "train_s": epoch.train_s, "wait_s": epoch.wait_s}
            for epoch in part.epochs
        ],
        "machine": {name: facts[name] for name in _OF_MACHINE},
    }
