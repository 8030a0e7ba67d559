"""Raw samples on demand: a row per block, with the quantiles of its waits and steps."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from feedbench.bench.html.kinds.cells import MB, number, without_empty_columns
from feedbench.bench.html.parts import Cell, Column, Details, Part, Section, Table, Text
from feedbench.bench.record import TRIALS, Block, Trial
from feedbench.bench.report.table import trial_name

_QUANTILES = (0.5, 0.95, 1.0)

COLUMNS = [
    Column("block", "number of the round, from 1", numeric=True),
    Column("images/s", "images ÷ seconds of the block", numeric=True),
    Column("seconds", "from one moment with an idle device to the next", numeric=True),
    Column("steps", "batches that the consumer took", numeric=True),
    Column("wait", "fraction of the time without a batch", numeric=True),
    Column("wait, median ms", "per batch", numeric=True),
    Column("wait, 95 % ms", "95 of 100 waits are shorter", numeric=True),
    Column("wait, longest ms", "", numeric=True),
    Column("step, median ms", "from a batch to the next request", numeric=True),
    Column("step, 95 % ms", "95 of 100 steps are shorter", numeric=True),
    Column("step, longest ms", "", numeric=True),
    Column("CPU cores", "CPU seconds of the trial's processes per second", numeric=True),
    Column("disk read, MB", "", numeric=True),
]


def blocks_table(blocks: Sequence[Block], title: str = "Blocks") -> Table:
    """Return one row per block."""
    return without_empty_columns(title, COLUMNS, [_row(block) for block in blocks])


def _row(block: Block) -> list[Cell]:
    return [
        block.round + 1,
        number(block.images_per_second, ",.1f"),
        number(block.seconds, ",.2f"),
        len(block.wait_s) or None,
        number(sum(block.wait_s) / block.seconds if block.wait_s else None, ".1%"),
        *_quantiles(block.wait_s),
        *_quantiles(block.step_s),
        number(block.cpu_s / block.seconds, ".2f"),
        number(block.disk_read_bytes, ",.1f", scale=MB),
    ]


def _quantiles(seconds: Sequence[float]) -> list[Cell]:
    """Return the median, the 95 % quantile and the maximum, in milliseconds."""
    if not seconds:
        return [None] * len(_QUANTILES)
    return [number(float(one), ",.2f", scale=1e-3) for one in np.quantile(seconds, _QUANTILES)]


def samples_section(trials: Iterable[Trial]) -> Iterator[Section]:
    """Yield the blocks of each trial, closed at first; nothing without a block."""
    parts: list[Part] = [
        Details(trial_name(trial), [blocks_table(trial.blocks)]) for trial in trials if trial.blocks
    ]
    if parts:
        note = f"Every wait and every step of these blocks is in {TRIALS} beside this record."
        yield Section("Raw samples", [*parts, Text(note, "note")], "samples")
