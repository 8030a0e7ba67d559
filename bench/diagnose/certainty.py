"""Whether a diagnosis was measured well enough for a verdict, and what disturbed it."""

from __future__ import annotations

from feedbench.bench.analysis.contention import busy_text
from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.diagnose.record import DiagnosisRecord, PartName

# An interval of the stall that is wider than this part of the accelerator's time names no
# bottleneck, and the predictions rest on the same blocks. A convention.
_WIDEST = 0.6
_IN_TURN: tuple[PartName, ...] = ("loader", "consumer", "end to end")  # timed like trials


def is_certain(stall: Estimate) -> bool:
    """Whether the stall, at least 0, is known well enough to be divided among its causes.

    Without an interval, as from too few rounds, it is not.
    """
    return stall.interval is not None and stall.interval[1] - stall.interval[0] <= _WIDEST


def disturbances(record: DiagnosisRecord) -> list[str]:
    """Return what makes the figures of a diagnosis doubtful, one sentence each."""
    failed = failed_checks(record)
    return [
        *([f"Self-test failed: {'; '.join(failed)}."] if failed else []),
        *([f"Other programs used {text} meanwhile."] if (text := busy(record)) else []),
    ]


def failed_checks(record: DiagnosisRecord) -> list[str]:
    """Return the checks of the self-test that failed: what they measured, and should have."""
    checks = (record.self_test or {}).get("checks", [])
    return [
        f"{check['name']}: {check['measured']} instead of {check['expected']}"
        for check in checks
        if not check["passed"]
    ]


def busy(record: DiagnosisRecord) -> str:
    """Return how many cores other programs used; empty if hardly any, or if that is unknown."""
    return busy_text([part for part in record.parts if part.name in _IN_TURN])
