"""Runs loaders on some of the cores, one process after the other."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from feedbench.bench.errors import TrialError
from feedbench.bench.limits.messages import CORES_WORKER, CoresDone, CoresJob
from feedbench.bench.limits.scaling_record import OnCores
from feedbench.bench.meters.gpu import hidden_from, training_gpus
from feedbench.bench.plan.plan import Choice, Plan, Timing
from feedbench.bench.trials.bench import MANIFEST
from feedbench.bench.trials.child import Child
from feedbench.loaders import find_loader, usable_cores

BASIS = 2  # cores: from these the rate on more is extrapolated
_MANY = 4  # cores from which on the rate is measured on more than these
_TIME_LIMIT_S = 600.0  # besides the warm-up and the blocks, for a cache that fills
_CPUS = Path("/sys/devices/system/cpu")


@dataclass(frozen=True)
class CoresTiming:
    """How long each number of cores is measured.

    Attributes:
        blocks: number of timed blocks.
        block_s: minimum duration of each.
        warm_up_s: minimum duration of the warm-up.
    """

    blocks: int
    block_s: float
    warm_up_s: float

    @classmethod
    def of(cls, timing: Timing) -> Self:
        """Return the timing of a run's own blocks."""
        return cls(timing.blocks, timing.block_seconds, timing.warm_up_seconds)

    @property
    def seconds(self) -> float:
        """The least that one number of cores takes."""
        return self.warm_up_s + self.blocks * self.block_s


def core_counts(cores: int) -> list[int]:
    """Return the numbers of cores to measure: one and two, and where there are many, 4, 8 … all."""
    if cores <= _MANY:
        return sorted({1, min(BASIS, cores)})
    doubled = [1 << power for power in range(cores.bit_length()) if 1 << power < cores]
    return [*doubled, cores]


def run_on_cores(
    choice: Choice, plan: Plan, folder: Path, timing: CoresTiming
) -> Iterator[OnCores]:
    """Yield a loader's measurement on each number of cores; the first that fails is the last.

    Args:
        folder: with the manifest that a run has left there.
    """
    for count in core_counts(usable_cores()):
        measured = _measured(choice, plan, folder, timing, count)
        yield measured
        if measured.error is not None:
            return


def _measured(choice: Choice, plan: Plan, folder: Path, timing: CoresTiming, count: int) -> OnCores:
    job = CoresJob(
        manifest=folder.absolute() / MANIFEST,
        loader=choice.loader,
        settings=choice.settings,
        spec=plan.spec,
        cpus=spread(os.sched_getaffinity(0))[:count],
        warm_up_s=timing.warm_up_s,
        blocks=timing.blocks,
        block_s=timing.block_s,
    )
    environment = hidden_from(choice.loader) if training_gpus() else None
    log = folder / "logs" / f"{choice.loader.rpartition('/')[2]}-{count}-cores.log"
    log.parent.mkdir(exist_ok=True)
    own = find_loader(choice.loader).own
    limit_s = _TIME_LIMIT_S + timing.seconds
    try:
        with Child(CORES_WORKER, job, log, environment, own=own) as child:
            what = f"{count} cores" if count > 1 else "one core"
            done = child.wait_for(CoresDone, limit_s, what, expected_s=timing.seconds)
            child.close()
            return done.measured
    except TrialError as error:
        return OnCores(cores=count, error=str(error))


def spread(cpus: set[int]) -> list[int]:
    """Return processors in an order in which each core's second hyperthread comes after all firsts.

    Args:
        cpus: their numbers.
    """
    return sorted(cpus, key=lambda cpu: (_threads_before(cpu, cpus), cpu))


def _threads_before(cpu: int, cpus: set[int]) -> int:
    """Return how many hyperthreads of the same core have a lower number, among these."""
    with suppress(OSError, ValueError):
        siblings = _listed((_CPUS / f"cpu{cpu}/topology/thread_siblings_list").read_text())
        return sum(other < cpu for other in siblings & cpus)
    return 0


def _listed(text: str) -> set[int]:
    """Return the numbers of a list such as `0-1,8`."""
    listed: set[int] = set()
    for part in text.strip().split(","):
        first, _, last = part.partition("-")
        listed |= set(range(int(first), int(last or first) + 1))
    return listed
