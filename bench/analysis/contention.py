"""How many cores other programs used while trials were timed."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import fmean, median
from typing import NamedTuple, Protocol

from feedbench.bench.quantities import quantity
from feedbench.bench.record import Block, CacheState, Trial, present

# From so many cores on, the order of the loaders may be that of a busy machine. A convention: a
# quiet one shows 0.01 to 0.06. Of many, a share counts, by which the best may be missed anyway.
_LEAST_CORES = 0.25
_LEAST_SHARE = 0.05


class Timed(Protocol):
    """A trial, or a part of a diagnosis."""

    @property
    def cache_state(self) -> CacheState | None:
        """The state of the page cache."""

    @property
    def blocks(self) -> list[Block]:
        """The blocks that were timed."""


def other_cores(trial: Timed) -> float | None:
    """Return the cores that other programs used, the median over the blocks; None if unknown.

    Unknown if files are cold: the process that evicts them is one of the others.
    """
    if trial.cache_state == "cold":
        return None
    used = [cores for block in trial.blocks if (cores := cores_of_others(block)) is not None]
    return median(used) if used else None


class OtherCores(NamedTuple):
    """What other programs used beside a winner.

    Attributes:
        chosen: cores, in the blocks that chose it.
        again: cores, in those after the choice.
        cores: of the machine.
    """

    chosen: float
    again: float
    cores: int

    @property
    def is_more(self) -> bool:
        """Whether they used much more of the machine after the choice."""
        return is_much(self.again - self.chosen, self.cores)

    @property
    def is_less(self) -> bool:
        """Whether they used much less of it then."""
        return is_much(self.chosen - self.again, self.cores)

    @property
    def is_busy(self) -> bool:
        """Whether they used much of it at any time."""
        return is_much(max(self.chosen, self.again), self.cores)


def beside_winner(winner: Trial) -> OtherCores | None:
    """Return what other programs used before and after a choice; None if that is unknown."""
    first = winner.chosen_before
    hosts = [block.host for block in winner.blocks if block.host]
    if first is None or not hosts:
        return None
    before = [block for block in winner.blocks if block.round < first]
    after = [block for block in winner.blocks if block.round >= first]
    chosen, again = (
        other_cores(winner.model_copy(update={"blocks": blocks})) for blocks in (before, after)
    )
    if chosen is None or again is None:
        return None
    # Processor time is counted in ticks, so that the difference may be somewhat below 0.
    return OtherCores(max(0.0, chosen), max(0.0, again), len(hosts[0].cores))


def cores_of_others(block: Block) -> float | None:
    """Return the cores that the whole machine used, without those of the trial's processes."""
    cores = [present(samples) for samples in block.host.cores.values()] if block.host else []
    if not cores or not all(cores):
        return None
    return sum(fmean(core) for core in cores) - block.cpu_s / block.seconds


def is_much(cores_in_use: float, cores: int) -> bool:
    """Whether other programs used so much of the machine that the order may change."""
    return cores_in_use >= max(_LEAST_CORES, _LEAST_SHARE * cores)


def busy_text(trials: Sequence[Timed]) -> str:
    """Return how much of the machine other programs used, such as `up to 1.5 of 2 cores`.

    Empty if it was so little that nothing depends on it, or is unknown.
    """
    used = [cores for trial in trials if (cores := other_cores(trial)) is not None]
    if not used:
        return ""
    host = next(block.host for trial in trials for block in trial.blocks if block.host)
    cores = len(host.cores)
    if not is_much(max(used), cores):
        return ""
    return f"up to {max(used):.1f} of {quantity(cores, 'core')}"


def busy_warning(trials: Sequence[Timed]) -> list[str]:
    """Return a line if other programs used so much of the machine that the order may change.

    Blocks take turns, but that does not cancel it: of the same cores, a loader with many threads
    gets more than one with few.
    """
    text = busy_text(trials)
    return [busy_sentence(text)] if text else []


def busy_sentence(used: str) -> str:
    """Return the warning.

    Args:
        used: how much of the machine, from `busy_text`.
    """
    return (
        f"Other programs used {used} meanwhile. They slow a loader with few threads more than one "
        "with many: on an idle machine the order may differ."
    )
