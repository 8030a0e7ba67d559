"""Messages to and from the process that runs single stages; it answers with blocks like a trial."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from feedbench.bench.diagnose.autotune import Node
from feedbench.bench.diagnose.own import Observed
from feedbench.bench.diagnose.record import PartName
from feedbench.bench.record import CacheState
from feedbench.bench.trials.protocol import BlockDone, Message, Service
from feedbench.loaders import BatchSpec


class StageJob(Message):
    """Prepare every stage of a loader, on one core and on all cores.

    Attributes:
        warm_up_s: seconds for which each stage runs before the first block.
        opened_s: as in `DiagnosisTiming`.
        model_s: as in `DiagnosisTiming`.
    """

    manifest: Path
    loader: str
    settings: dict[str, Any]
    spec: BatchSpec
    cores: int
    warm_up_s: float
    opened_s: float
    model_s: float


class StagesReady(Message):
    """The stages are prepared and accept requests.

    Attributes:
        start_s: seconds since the parent started the process.
        autotuned: nodes of the tf.data pipeline; empty if AUTOTUNE has nothing to set.
        locked: share of the time for which the loader's threads held Python's lock; None if it has
            no such threads.
        observed: what a user's own function did; None for a loader that is not the user's.
        service_workers: workers of the tf.data service that run; None without one.
    """

    start_s: float
    autotuned: list[Node] | None
    locked: float | None
    observed: Observed | None = None
    service_workers: int | None = None

    def facts(self) -> dict[str, Any]:
        """Return the fields of the record that have these names."""
        return {name: value for name, value in self if name != "start_s"}


class StageRequest(Message):
    """Run one stage for at least `seconds`.

    Attributes:
        parallel: number of cores, or of concurrent reads.
        cache_state: of the files that storage reads; None for every other stage.
    """

    stage: PartName
    parallel: int
    cache_state: CacheState | None
    seconds: float


STAGE_WORKER = Service("feedbench.bench.diagnose.worker", (StagesReady, BlockDone))
