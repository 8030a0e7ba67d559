"""The part of pack that writes original files into shards, or checks them."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from feedbench.bench.commands.output import redirect_library_output
from feedbench.bench.plan.plan import Failures
from feedbench.bench.quantities import quantity

if TYPE_CHECKING:
    from rich.console import Console

    from feedbench.loaders.pack import Sharding


def run_sharding(sharding: Sharding, out: Path, failures: Failures, terminal: Console) -> None:
    """Write the shards, resume an interrupted writing, or check what is complete."""
    from feedbench.bench.errors import InterruptedRun
    from feedbench.bench.report.progress import count_progress
    from feedbench.loaders import Faults, amount, tolerance
    from feedbench.loaders.pack import are_complete, check_shards, write_shards

    images = len(sharding.manifest)
    faults = Faults(tolerance(failures.on_error, failures.error_budget, images))
    is_check = are_complete(out)
    if not is_check:
        size = amount(sharding.size)
        _say(f"{quantity(images, 'image')} will take about {size} in {out}", terminal)
    try:
        with (
            redirect_library_output(Path(os.devnull)) as progress,
            count_progress(progress, "images", images) as advance,
        ):
            if is_check:
                check_shards(sharding, out, advance)
            else:
                write_shards(sharding, out, faults, advance)
    except KeyboardInterrupt:
        raise InterruptedRun(
            f"interrupted; the shards so far are saved in {out}; resume with the same command"
        ) from None
    for error in faults.dropped.values():
        _say(f"Left out: {error}", terminal)
    for line in _by_split(sharding):
        _say(line, terminal)
    _say(f"Complete. Use it as DATA: feedbench bench {quote(str(out))}", terminal)


def _by_split(sharding: Sharding) -> list[str]:
    """One line for each split: its images and its shards."""
    shards: dict[str, list[int]] = {}
    for one in sharding.shards:
        shards.setdefault(one.name.partition("-")[0], []).append(len(one.rows))
    return [
        f"{split}: {sum(counts):,} images in {len(counts)} {'shards' if counts[1:] else 'shard'}"
        for split, counts in shards.items()
    ]


def _say(text: str, terminal: Console) -> None:
    terminal.print(text, highlight=False, markup=False, soft_wrap=True)
