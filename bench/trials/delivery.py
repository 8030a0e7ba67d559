"""Which rows the processes of a trial gave, and what was lost on the way, for its record."""

from __future__ import annotations

from typing import Any

from feedbench.bench.record import Coverage, Losses, Trial
from feedbench.bench.trials.timer import Measured


def delivery_of(before: Trial, now: Trial, done: Measured) -> dict[str, Any]:
    """Return the fields of a trial's record that say it.

    Args:
        before: the record when the present process started.
        now: the record so far.
        done: the last block of that process.
    """
    fields: dict[str, Any] = {}
    if done.losses is not None:
        fields["losses"] = _together(before.losses or Losses(), done.losses)
    if done.coverage is None:
        return fields
    counts = _most(before.own or before.coverage, *done.coverage)
    if now.own is None:
        return {**fields, "coverage": Coverage(**counts)}
    return {**fields, "own": now.own.model_copy(update=counts)}


def _most(before: Any, left_out: int, repeated: int) -> dict[str, int]:
    """Return what was left out and repeated: the most of all processes."""
    if before is not None:
        left_out, repeated = max(before.left_out, left_out), max(before.repeated, repeated)
    return {"left_out": left_out, "repeated": repeated}


def _together(before: Losses, now: Losses) -> Losses:
    """Return what all processes lost."""
    return Losses(
        asked_again=before.asked_again + now.asked_again,
        discarded=before.discarded + now.discarded,
        ended_workers=[*before.ended_workers, *now.ended_workers],
        decoded_here=before.decoded_here + now.decoded_here,
    )
