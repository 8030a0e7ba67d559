"""What the process of the stages is sent, and what it answers; blocks are answered as a trial's."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from feedbench.bench.diagnose.autotune import Node
from feedbench.bench.diagnose.record import PartName
from feedbench.bench.record import CacheState
from feedbench.bench.trials.messages import BlockDone, Message, Service
from feedbench.loaders import BatchSpec


class StageJob(Message):
    """Prepare the stages of a loader on one core and on all of them."""

    manifest: Path
    loader: str
    settings: dict[str, Any]
    spec: BatchSpec
    cores: int
    warm_up_s: float


class StagesReady(Message):
    """The first stage can be asked for.

    Attributes:
        start_s: since the parent started the process.
    """

    start_s: float
    autotuned: list[Node] | None


class StageRequest(Message):
    """Work at one stage for so many seconds.

    Attributes:
        parallel: cores, or reads under way at once.
        cache_state: of the files that storage reads; None for every other stage.
    """

    stage: PartName
    parallel: int
    cache_state: CacheState | None
    seconds: float


STAGE_WORKER = Service("feedbench.bench.diagnose.worker", (StagesReady, BlockDone))
