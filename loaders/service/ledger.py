"""What a service lost, and what it gave twice."""

from __future__ import annotations

from dataclasses import dataclass

from feedbench.loaders.own.coverage import RowCounter


@dataclass
class Ledger:
    """Counts what did not come once and in time.

    Attributes:
        rows: counts how often each row was given.
        asked_again: batches that did not come and were asked for again.
        discarded: batches that came once more, and were not given again.
        ended_workers: how each worker process of its own ended that did.
    """

    rows: RowCounter
    asked_again: int = 0
    discarded: int = 0
    ended_workers: tuple[str, ...] = ()
