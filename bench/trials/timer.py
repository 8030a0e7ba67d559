"""Times blocks of a trial's process, which runs only inside them.

What a block needs besides (bringing files into a cache state, reading counters) is done by the
parent while the process is stopped, so that no loader can fill its buffers meanwhile.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from feedbench.bench.consumers.device import CPU
from feedbench.bench.meters.block import Meters
from feedbench.bench.meters.gpu import NumberedGpu, gpu_environment, hidden_from
from feedbench.bench.meters.process import tree_peak_memory, tree_usage
from feedbench.bench.meters.used import metered
from feedbench.bench.record import Block, Dropped, Losses
from feedbench.bench.trials.cache_state import Files
from feedbench.bench.trials.child import Child
from feedbench.bench.trials.opened import OpenedFiles
from feedbench.bench.trials.protocol import (
    TRIAL_WORKER,
    BlockDone,
    BlockRequest,
    Service,
    TrialJob,
    WarmUpDone,
)
from feedbench.loaders import Manifest, find_loader, open_regular
from feedbench.trainer import ONE

_KEPT_OPEN = 256  # files whose eviction was last


@dataclass(frozen=True)
class Measured:
    """A block with its meter readings, and what the trial has come to.

    Attributes:
        peak_memory_bytes: of the trial's process tree so far.
        dropped: all images that the loader has dropped so far.
        coverage: the numbers of images that were left out and repeated; None for a loader that
            keeps the order.
        losses: what a service lost so far; None without one.
    """

    block: Block
    peak_memory_bytes: int
    dropped: list[Dropped]
    coverage: tuple[int, int] | None = None
    losses: Losses | None = None


class Timer:
    """Starts trials on the rows of a manifest, and times their blocks."""

    def __init__(
        self, manifest: Manifest, gpus: Sequence[NumberedGpu], *, rewarm: bool = False
    ) -> None:
        """Create the timer.

        Args:
            manifest: the images of all trials.
            gpus: to meter, from `training_gpus`.
            rewarm: read warm files again before each block, because another trial evicts them.
        """
        self._files = Files(manifest)
        self._is_remote = manifest.is_remote
        self._gpus = gpus
        self._used: dict[int, list[NumberedGpu]] = {}  # by process
        self._rewarm = rewarm

    def start(self, job: TrialJob, log: Path, service: Service = TRIAL_WORKER) -> Child:
        """Start the process of a trial; it finds its files in the requested cache state."""
        self._files.bring_into(job.cache_state)
        own = find_loader(job.settings.get("like") or job.loader).own
        trains = job.consumer in ("train", "transfer")
        environment = hidden_from(job.loader) if self._gpus and not trains else None
        if len(self._gpus) > 1 and trains and job.devices == ONE:
            environment = gpu_environment(1)  # alone: with others in sight it would be slower
        return Child(service, job, log, environment, own=own)

    def note_device(self, child: Child, done: WarmUpDone) -> None:
        """Meter only the GPU that a process says it uses, and none if it trains on the CPU."""
        on_cpu = done.device == CPU
        self._used[child.pid] = metered(self._gpus, done.pci_bus_id, on_cpu=on_cpu)

    def time(
        self, child: Child, job: TrialJob, request: BlockRequest, limit_s: float, round_index: int
    ) -> Measured:
        """Time one block of a paused process, and pause it again.

        Raises:
            TrialError: the process failed, died or exceeded the limit; it has been killed.
        """
        if job.cache_state == "cold" or self._rewarm:
            self._files.bring_into(job.cache_state)
        before = tree_usage(child.pid)
        with self._kept_cold(job), Meters(self._used.get(child.pid, self._gpus)) as meters:
            done = child.ask(request, BlockDone, limit_s, "a block", request.seconds)
        used = tree_usage(child.pid).since(before)
        # A user's function that reads objects by itself is not counted: its state is not proven.
        is_known = used.disk_known and not (self._is_remote and used.fetched_bytes is None)
        timed = done.block.model_copy(
            update={
                "cpu_s": round(max(0.0, used.cpu_s - done.before_cpu_s), 4),
                "disk_read_bytes": used.read_bytes if is_known else None,
                "fetched_bytes": used.fetched_bytes,
                "consumed_bytes": self._consumed(done) if job.cache_state else None,
            }
        )
        block = meters.complete(timed, round_index)
        peak = tree_peak_memory(child.pid)
        return Measured(block, peak, done.dropped, done.coverage, done.losses)

    @contextmanager
    def _kept_cold(self, job: TrialJob) -> Iterator[None]:
        """Evict each file that a user's function has read: its rows may be unknown to the trial."""
        if job.cache_state != "cold" or find_loader(job.loader).own is None:
            yield
            return
        with _Eviction() as evict, OpenedFiles(self._files.folders(), evict):
            yield

    def _consumed(self, done: BlockDone) -> int:
        """Return the bytes of the files in a block's batches, by their mean if rows are unknown."""
        files = self._files
        return files.size(done.rows) if done.rows else files.expected_size(done.block.images)


class _Eviction:
    """Evicts each file that is closed, inside a `with`.

    What it closes itself is announced too, and two closings in a row are announced as one. So it
    keeps the last files open: a loader may read a file again while it is evicted, and rarely later.
    """

    def __init__(self) -> None:
        self._files: dict[bytes, int] = {}  # open, by path, the last one last
        self._closed: set[bytes] = set()  # by this, which has not been announced yet

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for file in self._files.values():
            os.close(file)

    def __call__(self, path: bytes) -> None:
        """Evict a file, unless it was closed only by this."""
        if path in self._closed:
            self._closed.remove(path)
            return
        with suppress(OSError):  # it is gone
            if path not in self._files:
                self._files[path] = open_regular(path)
            file = self._files[path] = self._files.pop(path)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        if len(self._files) > _KEPT_OPEN:
            oldest = next(iter(self._files))
            self._closed.add(oldest)
            os.close(self._files.pop(oldest))
