"""How many cores other programs used while trials were timed."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median

from feedbench.bench.record import Block, Trial, present

# From so many cores on, the order of the loaders may be that of a busy machine. A convention: a
# quiet machine shows 0.01 to 0.06.
LEAST_CORES = 0.25


def other_cores(trial: Trial) -> float | None:
    """Return the cores that other programs used, the median over the blocks; None if unknown."""
    used = [cores for block in trial.blocks if (cores := _others(block)) is not None]
    return median(used) if used else None


def _others(block: Block) -> float | None:
    """Return the cores that the whole machine used, without those of the trial's processes."""
    cores = [present(samples) for samples in block.host.cores.values()] if block.host else []
    if not cores or not all(cores):
        return None
    return sum(fmean(core) for core in cores) - block.cpu_s / block.seconds


def busy_warning(trials: Sequence[Trial]) -> list[str]:
    """Return a line if other programs used so much of the machine that the order may change.

    Blocks take turns, but that does not cancel it: of the same cores, a loader with many threads
    gets more than one with few.
    """
    used = [cores for trial in trials if (cores := other_cores(trial)) is not None]
    if not used or max(used) < LEAST_CORES:
        return []
    host = next(block.host for trial in trials for block in trial.blocks if block.host)
    return [
        f"Other programs used up to {max(used):.1f} of {len(host.cores)} cores meanwhile. A loader "
        "with many threads loses less to them than one with few: on a quiet machine the order may "
        "be another."
    ]
