"""Messages to and from the process that runs a loader on some of the cores."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from feedbench.bench.limits.scaling_record import OnCores
from feedbench.bench.trials.protocol import Message, Service
from feedbench.loaders import BatchSpec


class CoresJob(Message):
    """Run a loader on some of the cores, and sample its threads.

    Attributes:
        cpus: the numbers of the processors that may be used.
        warm_up_s: minimum duration of the warm-up, seconds.
        blocks: number of timed blocks.
        block_s: minimum duration of each.
    """

    manifest: Path
    loader: str
    settings: dict[str, Any]
    spec: BatchSpec
    cpus: list[int]
    warm_up_s: float
    blocks: int
    block_s: float


class CoresDone(Message):
    """What was measured."""

    measured: OnCores


CORES_WORKER = Service("feedbench.bench.limits.cores_worker", (CoresDone,))
