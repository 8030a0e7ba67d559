"""The stall: the share of the consumer's time that is lost end to end."""

from __future__ import annotations

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import paired_ratio
from feedbench.bench.diagnose.ceilings import find_part, with_proven_blocks
from feedbench.bench.diagnose.record import DiagnosisRecord

NO_STALL = 0.05  # a consumer that loses a smaller share of its time than this counts as busy


def stall_of(record: DiagnosisRecord) -> Estimate | None:
    """Return the share of the consumer's time that is lost end to end, from paired blocks.

    None if the consumer alone and end to end were never measured in the same round.
    """
    end_to_end, alone = find_part(record, "end to end"), find_part(record, "consumer")
    if end_to_end is None or alone is None:
        return None
    ratio = paired_ratio(with_proven_blocks(end_to_end).rates, with_proven_blocks(alone).rates)
    if ratio is None:
        return None
    if ratio.low is None or ratio.high is None:
        return Estimate(value=1 - ratio.value)
    return Estimate(value=1 - ratio.value, low=1 - ratio.high, high=1 - ratio.low)
