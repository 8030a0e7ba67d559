"""What a monitored `fit` showed, in sentences: pure functions."""

from __future__ import annotations

from feedbench.bench.analysis.estimate import Estimate, rate_text
from feedbench.bench.monitor.record import FitFigures, FitRecord

KEEPS_UP = 0.05  # a smaller share of the time is not worth a faster pipeline
_SAME = 0.03  # shares that differ less are not told apart
_DIAGNOSE = (
    "Next: feedbench diagnose DATA --loader pipeline.py:make_dataset names what is slow; "
    "pipeline.py is a file in which make_dataset returns your data."
)


def headline(record: FitRecord) -> str:
    """Return what trained on what, in one line."""
    executions = f", {record.steps_per_execution} steps per execution"
    return (
        f"{record.data} → fit of {record.model} → {record.backend} on {record.device}"
        f"{executions if record.steps_per_execution > 1 else ''}"
    )


def fit_lines(found: FitFigures | None, record: FitRecord) -> list[str]:
    """Return all there is to say, the main sentence first."""
    if found is None:
        return [f"Nothing was measured: {ended(note)}" for note in record.notes]
    if _may_be_none(found):
        return [sentence(found), advice(found), *explanations(found, record)]
    return [sentence(found), *explanations(found, record), advice(found)]


def sentence(found: FitFigures) -> str:
    """Return in one sentence what share of the time the device waits for data."""
    over = f"Over {found.batches:,} batches"
    rate = f"{rate_text(found.images_per_second.value)} images/s"
    if found.stall is not None and found.ceiling is not None:
        return (
            f"{over}, the device stalled {_share(found.stall.value)} of the time"
            f"{_interval(found)}: {rate}, against {rate_text(found.ceiling.value)} on a repeated "
            f"batch; fit waited for data {found.wait_share:.0%} of the time."
        )
    low, high = f"{found.idle_share:.0%}", f"{found.wait_share:.0%}"
    share = high if low == high else f"between {low} and {high}"
    return f"{over}, the device waited for data {share} of the time, at {rate}."


def explanations(found: FitFigures, record: FitRecord) -> list[str]:
    """Return what must be known to read the sentence, one line each."""
    lines = [_without_ceiling(found)] if found.stall is None else [_with_ceiling(found, record)]
    if len(record.first_waits_s) > 1:
        later = record.first_waits_s[1:]
        lines.append(
            f"Not counted: the first batch of each epoch; those of later epochs took "
            f"{sum(later) / len(later):.2f} s on average."
        )
    notes = [f"{note[0].upper()}{ended(note[1:])}" for note in record.notes]
    return [*filter(None, lines), *notes]


def ended(note: str) -> str:
    """Return a note with a period at its end, which one that quotes an error may have already."""
    return note if note.endswith(".") else f"{note}."


def advice(found: FitFigures) -> str:
    """Return what to do next."""
    if found.stall is None:
        if found.wait_share < KEEPS_UP:
            return "A pipeline that lets fit wait less would gain almost nothing."
        return _DIAGNOSE
    if found.stall.value < KEEPS_UP:
        return _keeps_up(found, found.stall)
    if _may_be_none(found):
        return "It may be no stall at all, as the interval shows: measure longer, with more steps."
    if found.wait_share < KEEPS_UP:
        return f"First try verbose=0 and fewer callbacks; what remains is the pipeline. {_DIAGNOSE}"
    return _DIAGNOSE


def _keeps_up(found: FitFigures, stall: Estimate) -> str:
    if found.idle_share >= KEEPS_UP:
        return "Most blocks hardly waited, but some did for long: measure longer, with more steps."
    if stall.high is None:
        return "The input pipeline seems to keep up; to be sure, measure longer, with more steps."
    if stall.high >= KEEPS_UP:
        return (
            f"The input pipeline seems to keep up, but up to {stall.high:.0%} may be lost: measure "
            "longer, with more steps."
        )
    return "The input pipeline keeps up: a faster one would gain almost nothing."


def _may_be_none(found: FitFigures) -> bool:
    """Whether the interval of a stall begins so low that there may be none."""
    lost = found.stall
    if lost is None or lost.low is None:
        return False
    return lost.value >= KEEPS_UP > lost.low


def _share(stall: float) -> str:
    return f"{max(0.0, stall):.0%}"


def _interval(found: FitFigures) -> str:
    stall = found.stall
    if stall is None or stall.low is None or stall.high is None:
        return ""
    return f" [{_share(stall.low)}, {_share(stall.high)}]"


def _without_ceiling(found: FitFigures) -> str:
    text = (
        "This counts waiting alone; FitMonitor(ceiling=True) also measures whether the pipeline "
        "slows the steps down."
    )
    if found.idle_share < found.wait_share - 0.005:
        text = (
            "fit waited for the larger share; only for the smaller one is the device known to have "
            f"had no work left. {text}"
        )
    return text


def _lower_than_wait(record: FitRecord) -> str:
    if not record.is_synchronous:
        return "In a part of that wait the device may have had queued work."
    return (
        "The stall compares medians, in which a few long waits count less; a machine that was "
        "slower during the repeated batch lowers it too."
    )


def _with_ceiling(found: FitFigures, record: FitRecord) -> str:
    assert found.stall is not None
    lines = []
    if found.stall.value > found.wait_share + _SAME:
        points = 100 * (found.stall.value - found.wait_share)
        lines.append(
            f"The other {points:.0f} points are lost in steps that take longer than on a repeated "
            "batch: the pipeline takes the processor, or callbacks and the progress bar take time."
        )
    if found.stall.value < found.wait_share - _SAME:
        lines.append(_lower_than_wait(record))
    if record.is_quiet is False:
        lines.append(
            "The pipeline kept on working while the repeated batch was timed, so the true share is "
            "at least this."
        )
    return " ".join(lines)
