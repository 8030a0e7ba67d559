"""What a run tells a progress display."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Trial

EventKind = Literal["starting", "warming", "warm", "timing", "block", "stopped", "failed"]


@dataclass(frozen=True)
class TrialEvent:
    """Progress of a run.

    Attributes:
        kind: what happens to the trial, or has just happened: "timing" is sent before a block, and
            "block" after it; "stopped" if it needs no more. No block is timed while the callback
            runs.
        choice: the trial's loader and settings.
        done: number of blocks that were timed or given up so far.
        blocks: number of blocks of the whole run, unless it ends early; None if it is unknown.
        index: of the trial.
        trial: its record so far.
        round: of the block that is timed now or next.
        pid: of the trial's process; None once it has ended.
        images: number of images that the trial has warmed up with so far.
        images_needed: number of images that its warm-up needs.
    """

    kind: EventKind
    choice: Choice
    done: int
    blocks: int | None
    index: int
    trial: Trial
    round: int = 0
    pid: int | None = None
    images: int = 0
    images_needed: int = 0


OnEvent = Callable[[TrialEvent], None]
