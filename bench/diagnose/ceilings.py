"""The ceiling of each part: its rate with everything else taken away."""

from __future__ import annotations

from statistics import median
from typing import Any

from pydantic import BaseModel, ConfigDict

from feedbench.bench.analysis.estimate import Estimate, Positive
from feedbench.bench.analysis.stats import median_interval
from feedbench.bench.diagnose.record import DiagnosisRecord, Part, PartName
from feedbench.bench.record import Block
from feedbench.bench.trials.cache_state import unproven_reason


class Ceiling(BaseModel):
    """The rate of one part with everything else taken away.

    Attributes:
        name: what was measured alone.
        cache_state: of the files that the part reads; None if it reads none.
        parallel: number of cores, or of concurrent reads.
        mistake: that a rewritten pipeline is without.
        settings: of the loader, if they differ from the settings that are diagnosed.
        images_per_second: None if it could not be measured.
        bytes_per_second: that are read, moved, or come over the network; None for parts that are
            not measured in bytes.
        cores: CPU cores in use, on average.
        blocks: number of blocks that count.
        unproven: for each block that does not count, why its cache state is not proven.
        error: why the part could not be measured.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: PartName
    cache_state: str | None = None
    parallel: int | None = None
    settings: dict[str, Any] | None = None
    mistake: str | None = None
    images_per_second: Positive | None = None
    bytes_per_second: float | None = None
    cores: float | None = None
    blocks: int = 0
    unproven: list[str] = []
    error: str | None = None


def ceilings(record: DiagnosisRecord) -> list[Ceiling]:
    """Return the ceiling of each part, in the order in which an image passes the parts."""
    return [ceiling_of(part) for part in record.parts]


def ceiling_of(part: Part) -> Ceiling:
    """Return the rate of a part with everything else taken away."""
    blocks = with_proven_blocks(part).blocks
    rate = median_interval([block.images_per_second for block in blocks]) if blocks else None
    return Ceiling(
        name=part.name,
        cache_state=part.cache_state,
        parallel=part.parallel,
        settings=part.settings,
        mistake=part.mistake,
        images_per_second=rate,
        bytes_per_second=_bytes_per_second(part, blocks, rate),
        cores=cores_used(blocks) if blocks else None,
        blocks=len(blocks),
        unproven=[reason for block in part.blocks if (reason := _why_unproven(part, block))],
        error=part.error,
    )


def _bytes_per_second(part: Part, blocks: list[Block], rate: Estimate | None) -> float | None:
    received = [one.received_bytes for one in blocks if one.received_bytes is not None]
    if received and len(received) == len(blocks):
        return sum(received) / sum(one.seconds for one in blocks)
    return rate.value * part.moved_bytes if rate and part.moved_bytes is not None else None


def with_proven_blocks(part: Part) -> Part:
    """Return the part without the blocks whose cache state is not proven."""
    blocks = [block for block in part.blocks if not _why_unproven(part, block)]
    return part.model_copy(update={"blocks": blocks})


def _why_unproven(part: Part, block: Block) -> str | None:
    return unproven_reason(part.cache_state, block)


def cores_used(blocks: list[Block]) -> float:
    """Return the CPU seconds used per second of the blocks."""
    return sum(block.cpu_s for block in blocks) / sum(block.seconds for block in blocks)


def median_rate(part: Part) -> float:
    """Return the median rate of the proven blocks, in images per second."""
    return median(block.images_per_second for block in with_proven_blocks(part).blocks)


def find_part(
    record: DiagnosisRecord, name: PartName, state: str | None = None, parallel: int | None = None
) -> Part | None:
    """Return the part that matches and has proven blocks; the fastest of several, None of none.

    Args:
        record: where to look.
        name: of the part.
        state: required cache state; None for any.
        parallel: required number of cores or concurrent reads; None for any.
    """
    matching = [
        part
        for part in record.parts
        if part.name == name
        and (state is None or part.cache_state == state)
        and (parallel is None or part.parallel == parallel)
        and with_proven_blocks(part).blocks
    ]
    return max(matching, key=median_rate, default=None)
