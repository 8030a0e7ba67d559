"""Whether the processes of a diagnosis that compute on one device fit beside each other."""

from __future__ import annotations

from collections.abc import Sequence

from feedbench.bench.meters.gpu import NumberedGpu, free_gpu_memory, takes_one_process
from feedbench.bench.meters.process import tree_memory
from feedbench.loaders import available_memory

_ON_DEVICE = ("transfer", "consumer", "end to end")  # in the order in which they start
_HEADROOM = 1.5  # a second trainer needs this many times the memory of the first


class Room:
    """What one process holds of the GPU, and whether there is as much for another."""

    def __init__(self, gpus: Sequence[NumberedGpu]) -> None:
        self._gpus = gpus
        self._takes_one = takes_one_process(gpus)
        self._free_before: int | None = None
        self._held = 0

    def before_start(self) -> None:
        """Note the memory of the GPU before a process starts."""
        self._free_before = free_gpu_memory(self._gpus)

    def after_warm_up(self) -> None:
        """Note what the process that was started last holds of it."""
        free = free_gpu_memory(self._gpus)
        if free is not None and self._free_before is not None:
            self._held = max(self._held, self._free_before - free)

    def why_not_beside(self, key: str, other: str, pid: int) -> str:
        """Return why a process cannot start beside another; empty if it can.

        Args:
            key: of the process that is to start.
            other: of the one that runs, whose ID is `pid`.
        """
        if key not in _ON_DEVICE or other not in _ON_DEVICE:
            return ""
        if self._takes_one:
            return "the GPU takes one process at a time"
        if (key, other) != ("end to end", "consumer"):
            return ""  # all others are small
        fits = available_memory() > _HEADROOM * tree_memory(pid) and self._gpu_fits()
        return "" if fits else "two trainers do not fit into memory"

    def _gpu_fits(self) -> bool:
        free = free_gpu_memory(self._gpus)
        return free is None or free > _HEADROOM * self._held
