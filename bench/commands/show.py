"""What `show` writes of a bench over time: a picture of one trial, a trace of all."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from feedbench.bench.record import Trial

_PICTURES = (".png", ".pdf", ".svg", ".jpg")


def keep_timeline(path: Path, trials: list[Trial], number: int | None, winner: int | None) -> None:
    """Draw one trial.

    Args:
        number: its line in the record, from 1; without it the winner, or the first that was timed.

    Raises:
        PlanError: there is no such trial, it has no timed block, or the file is no picture.
        RecordError: the picture cannot be written.
    """
    from feedbench.bench.errors import PlanError, RecordError
    from feedbench.bench.report.timeline import draw_timeline

    if path.suffix.lower() not in _PICTURES:
        raise PlanError(f"--timeline {path}: name a {', '.join(_PICTURES)} file")
    if number is not None and number > len(trials):
        raise PlanError(f"--trial {number}: the record has {len(trials)}")
    timed = [index for index, trial in enumerate(trials) if trial.blocks]
    index = number - 1 if number is not None else winner if winner in timed else None
    chosen = index if index is not None else next(iter(timed), 0)
    if chosen not in timed:
        raise PlanError(f"--timeline: trial {chosen + 1} has no timed block")
    try:
        draw_timeline(trials[chosen].blocks, path, _title(trials[chosen]))
    except OSError as error:
        raise RecordError(f"{path}: {error.strerror}; name another file") from error


def keep_trace(path: Path, trials: list[Trial]) -> None:
    """Write all trials, a process each."""
    from feedbench.bench.record import write_text
    from feedbench.bench.report.trace import trace_text

    titles = {f"{line} {_title(trial)}": trial.blocks for line, trial in enumerate(trials, 1)}
    write_text(path, trace_text(titles))


def _title(trial: Trial) -> str:
    from feedbench.bench.plan.plan import Choice
    from feedbench.bench.report.table import fed

    choice = Choice(loader=trial.loader, settings=trial.settings, augment=trial.augment)
    return f"{choice} → {fed(trial)}"
