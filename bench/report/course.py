"""The course of a bench in words: what started side by side, and what ended early and why."""

from __future__ import annotations

from collections.abc import Iterator

from feedbench.bench.analysis.summary import Summary
from feedbench.bench.analysis.winner import MIN_RATIO_TO_WIN
from feedbench.bench.record import Stopped
from feedbench.bench.report.document import Line
from feedbench.bench.report.table import trial_name


def course(summary: Summary) -> Iterator[Line]:
    """Yield how the bench went, as far as it matters for its figures."""
    beside = max((trial.started_beside for trial in summary.trials), default=0)
    if beside:
        others = f"{beside} other process{'es' if beside > 1 else ''}"
        yield Line(f"first batch: measured while up to {others} started.")
    yield from _ended_early(summary)
    for rounds, names in sorted(_out(summary).items()):
        yield Line(
            f"Stopped after {rounds} rounds, certainly below {MIN_RATIO_TO_WIN:.0%} of the fastest "
            f"rate: {', '.join(names)}."
        )


def stop_text(stopped: Stopped) -> str:
    """Return why a trial was stopped, and after how many rounds."""
    return f"{stopped.why} after {stopped.rounds} rounds"


def _ended_early(summary: Summary) -> Iterator[Line]:
    stops = [one.stopped for one in summary.trials if one.stopped is not None]
    rounds = [stop.rounds for stop in stops if stop.slower_than is None]
    if rounds:
        yield Line(
            f"Ended after {rounds[0]} of at most {summary.judged_after[-1]} rounds: each loader is "
            "certainly slower than the fastest, or certainly reaches "
            f"{MIN_RATIO_TO_WIN:.0%} of its rate; --no-early-stopping times all."
        )


def _out(summary: Summary) -> dict[int, list[str]]:
    """Return the trials that were out of the race, by the number of rounds after which."""
    out: dict[int, list[str]] = {}
    for trial in summary.trials:
        if trial.stopped is not None and trial.is_out:
            out.setdefault(trial.stopped.rounds, []).append(trial_name(trial))
    return out
