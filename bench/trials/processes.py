"""The running processes of trials: as many as fit into memory, stopped while others are timed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from feedbench.bench.meters.gpu import free_gpu_memory, takes_one_process, training_gpus
from feedbench.bench.meters.process import tree_peak_memory
from feedbench.bench.trials.child import Child, close_all
from feedbench.bench.trials.protocol import (
    Message,
    Opened,
    TrialJob,
    WarmUpDone,
    WarmUpRequest,
)
from feedbench.bench.trials.timer import Timer
from feedbench.loaders import Manifest, available_memory, usable_cores

_HEADROOM = 1.3  # free memory needed to start a process, relative to the largest so far
# Assumed of a process before one was timed: of batches of 192 at 224 px, tf_data takes 0.9 GB and
# keras_directory 1.3 GB.
_ASSUMED_BYTES = 1.3e9


@dataclass
class _Start:
    """The start of a process that has not warmed up.

    Attributes:
        free_gpu_bytes: before it started; None without a GPU.
        beside: the most other processes that started at the same time.
        is_open: whether it has done its first step.
    """

    free_gpu_bytes: int | None
    beside: int = 0
    is_open: bool = False


class Processes:
    """The processes of trials by the index of the trial, that which was used longest ago first.

    Attributes:
        timer: times their blocks.
    """

    def __init__(self, manifest: Manifest, folder: Path) -> None:
        """Begin without a process.

        Args:
            manifest: the images of all trials.
            folder: for their logs.
        """
        self._gpus = training_gpus()
        self._one_on_gpu = takes_one_process(self._gpus)
        self.timer = Timer(manifest, self._gpus)
        self._logs = folder / "logs"
        self._live: dict[int, Child] = {}
        self._starts: dict[int, _Start] = {}
        self._gpu_bytes: dict[int, int] = {}  # held by each trial after its warm-up

    def __contains__(self, index: int) -> bool:
        return index in self._live

    def __bool__(self) -> bool:
        return bool(self._live)

    def use(self, index: int) -> Child:
        """Return a process, which is now the last that was used."""
        child = self._live[index] = self._live.pop(index)
        return child

    def is_warm(self, index: int) -> bool:
        """Whether a running process has warmed up."""
        return index not in self._starts

    def start(self, index: int, job: TrialJob) -> Child:
        """Start a process, beside those whose first step is not done."""
        self._starts[index] = _Start(self._free_gpu_bytes())
        self._logs.mkdir(exist_ok=True)
        self._live[index] = self.timer.start(job, self._logs / f"trial-{index:02}.log")
        starting = self._starting()
        for start in starting:
            start.beside = max(start.beside, len(starting) - 1)
        return self._live[index]

    def wait_for_first_step(self, index: int, limit_s: float) -> int:
        """Wait until a process has done its first step, stop it there; return its peak memory.

        Raises:
            TrialError: it failed, died or exceeded the limit.
        """
        child = self.use(index)
        child.wait_for(Opened, limit_s, "warm-up", pause=True)
        self._starts[index].is_open = True
        return tree_peak_memory(child.pid)

    def warm_up(
        self, index: int, limit_s: float, on_progress: Callable[[Message], None]
    ) -> WarmUpDone:
        """Warm up a process that has done its first step, and stop it again.

        Raises:
            TrialError: it failed, died or exceeded the limit.
        """
        child = self.use(index)
        child.resume(WarmUpRequest())
        done = child.wait_for(WarmUpDone, limit_s, "warm-up", on_progress)
        child.pause()
        self.timer.note_device(child, done)
        start, left = self._starts.pop(index), self._free_gpu_bytes()
        if start.free_gpu_bytes is not None and left is not None:
            self._gpu_bytes[index] = start.free_gpu_bytes - left
        warm_up = done.warm_up.model_copy(update={"beside": start.beside})
        return done.model_copy(update={"warm_up": warm_up})

    def end(self, *indices: int) -> None:
        """End processes, if they run."""
        for index in indices:
            self._starts.pop(index, None)
        close_all(self._live, indices)

    def close(self) -> None:
        """End all processes."""
        self._starts.clear()
        close_all(self._live)

    @property
    def are_starting(self) -> bool:
        """Whether any process has not done its first step."""
        return bool(self._starting())

    def may_start_beside(self, peak_bytes: int) -> bool:
        """Whether there is a core and memory for one more process beside those that start.

        A GPU takes one after the other, since what each holds of its memory has to be known.

        Args:
            peak_bytes: of the largest process so far; 0 if unknown.
        """
        count = len(self._starting())
        need = (peak_bytes or _ASSUMED_BYTES) * _HEADROOM * (count + 1)
        has_room = count < usable_cores() and available_memory() >= need and not self._one_on_gpu
        return has_room and self._free_gpu_bytes() is None

    def make_room(self, peak_bytes: int) -> None:
        """End those used longest ago until another one fits into memory.

        Args:
            peak_bytes: of the largest process so far; 0 if unknown.
        """
        need = peak_bytes * _HEADROOM
        while self._live and (available_memory() < need or self._is_gpu_taken()):
            self.end(next(iter(self._live)))

    def _starting(self) -> list[_Start]:
        return [start for start in self._starts.values() if not start.is_open]

    def _free_gpu_bytes(self) -> int | None:
        return free_gpu_memory(self._gpus)

    def _is_gpu_taken(self) -> bool:
        """Whether the GPU takes no other trial, or has no room for one like the largest so far."""
        if self._one_on_gpu:
            return True
        free = self._free_gpu_bytes()
        return free is not None and free < max(self._gpu_bytes.values(), default=0) * _HEADROOM
