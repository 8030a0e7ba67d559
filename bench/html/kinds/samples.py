"""Raw samples on demand: a row per block, with the quantiles of its waits and steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np

from feedbench.bench.html.kinds.cells import MB, Field, number, table_of
from feedbench.bench.html.parts import Cell, Details, Part, Section, Table, Text
from feedbench.bench.record import Block, Trial
from feedbench.bench.report.table import trial_name
from feedbench.bench.trials_file import TRIALS

_MOST_BLOCKS = 2_000  # on a page: 10,000 rows take 13 MB


def samples_section(trials: Iterable[Trial]) -> Iterator[Section]:
    """Yield the blocks of each trial, closed at first; nothing without a block."""
    timed = [trial for trial in trials if trial.blocks]
    most = max(1, _MOST_BLOCKS // max(1, len(timed)))
    parts: list[Part] = [
        Details(trial_name(trial), [blocks_table(trial.blocks, most=most)]) for trial in timed
    ]
    if parts:
        note = f"Every wait and every step of these blocks is in {TRIALS} beside this record."
        yield Section("Raw samples", [*parts, Text(note, "note")], "samples")


def blocks_table(blocks: Sequence[Block], title: str = "Blocks", most: int = _MOST_BLOCKS) -> Table:
    """Return one row per block, for the first blocks if they are very many."""
    note = f"The first {most:,} of {len(blocks):,} blocks." if len(blocks) > most else ""
    return table_of(title, _FIELDS, blocks[:most], note=note)


def _waits(block: Block) -> Sequence[float]:
    return block.wait_s


def _steps(block: Block) -> Sequence[float]:
    return block.step_s


def _quantile(seconds: Callable[[Block], Sequence[float]], share: float) -> Callable[[Block], Cell]:
    """Return a function: the time that a share of a block's waits or steps do not exceed, in ms."""

    def cell(block: Block) -> Cell:
        values = seconds(block)
        return number(float(np.quantile(values, share)), ",.2f", scale=1e-3) if values else None

    return cell


_FIELDS: list[Field[Block]] = [
    Field("block", lambda block: block.round + 1, "number of the round, from 1"),
    Field(
        "images/s",
        lambda block: number(block.images_per_second, ",.1f"),
        "images ÷ seconds of the block",
    ),
    Field(
        "seconds",
        lambda block: number(block.seconds, ",.2f"),
        "from one moment with an idle device to the next",
    ),
    Field("steps", lambda block: len(block.wait_s) or None, "batches that the consumer took"),
    Field(
        "wait",
        lambda block: number(sum(block.wait_s) / block.seconds if block.wait_s else None, ".1%"),
        "fraction of the time without a batch",
    ),
    Field("wait, median ms", _quantile(_waits, 0.5), "per batch"),
    Field("wait, 95 % ms", _quantile(_waits, 0.95), "95 of 100 waits are shorter"),
    Field("wait, longest ms", _quantile(_waits, 1.0)),
    Field("step, median ms", _quantile(_steps, 0.5), "from a batch to the next request"),
    Field("step, 95 % ms", _quantile(_steps, 0.95), "95 of 100 steps are shorter"),
    Field("step, longest ms", _quantile(_steps, 1.0)),
    Field(
        "CPU cores",
        lambda block: number(block.cpu_s / block.seconds, ".2f"),
        "CPU seconds of the trial's processes per second",
    ),
    Field("disk read, MB", lambda block: number(block.disk_read_bytes, ",.1f", scale=MB)),
]
