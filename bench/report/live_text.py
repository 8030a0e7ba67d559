"""The texts of a live display: durations, sparklines, and tables that fit into a few lines."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import mean

from rich.cells import cell_len, set_cell_size

from feedbench.bench.record import Block, TimedBlock, present
from feedbench.bench.report.live import Line, Style

CTRL_C = "Ctrl-C ends the run and keeps what was measured"
_LEVELS = "▁▂▃▄▅▆▇█"
_BINS = 8  # of a sparkline
_LEAST_NAME = 12  # characters of the first column, beside all others
_GAP = "  "
_ROOMY = 14  # lines from which parts of a frame are separated by an empty line


def duration(seconds: float) -> str:
    """Return a duration in whole seconds, minutes or hours and minutes."""
    seconds = max(0, round(seconds))
    if seconds < 90:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def sparkline(shares: Sequence[float]) -> str:
    """Return one character per share, from 0 to 1."""
    top = len(_LEVELS) - 1
    return "".join(_LEVELS[min(top, max(0, round(share * top)))] for share in shares)


def wait_shares(block: TimedBlock, bins: int = _BINS) -> list[float]:
    """Return the share of the time that was waiting, in successive parts of a block."""
    steps = len(block.wait_s)
    edges = [steps * number // bins for number in range(bins + 1)]
    parts = [slice(begin, end) for begin, end in itertools.pairwise(edges) if end > begin]
    return [_share(sum(block.wait_s[part]), sum(block.step_s[part])) for part in parts]


def wait_share(block: TimedBlock) -> float:
    """Return the share of a block's time in which the consumer had no batch."""
    return _share(sum(block.wait_s), sum(block.step_s))


def _share(wait_s: float, step_s: float) -> float:
    return wait_s / (wait_s + step_s) if wait_s + step_s else 0.0


def meters_text(block: Block) -> str:
    """Return the cores, disk and GPU that were in use during a block."""
    texts = [f"wait {wait_share(block):.0%}"]
    if block.host is not None and block.host.cores:
        used = [mean(present(samples) or [0.0]) for samples in block.host.cores.values()]
        texts.append(f"{sum(used):.1f} of {len(used)} cores in use")
    if block.host is not None and (disk := present(block.host.disk_read_bytes_per_s)):
        texts.append(f"disk {mean(disk) / 1e6:,.0f} MB/s")
    gpu = [share for one in block.gpus for share in present(one.utilization)]
    if gpu:
        texts.append(f"GPU {mean(gpu):.0%}")
    return " · ".join(texts)


@dataclass(frozen=True)
class Row:
    """A line of a table: a name, and one text for each of the other columns."""

    name: str
    cells: tuple[str, ...]
    style: Style = "plain"


def table_lines(
    titles: Sequence[str], rows: Sequence[Row], columns: int, height: int
) -> list[Line]:
    """Return a table of at most `height` lines.

    Columns at the right are left out if the names would be too short, and rows at the end if there
    is no room for them.

    Args:
        titles: of all columns, that of the names first.
        columns: width in characters.
    """
    if height < 2:
        return []
    shown = rows if len(rows) < height else rows[: height - 2]
    widths = _widths(titles, rows)
    while len(widths) > 1 and columns - sum(widths) - len(_GAP) * len(widths) < _LEAST_NAME:
        widths.pop()
    room = columns - sum(widths) - len(_GAP) * len(widths)
    name_width = min(room, max(cell_len(name) for name in (titles[0], *(r.name for r in shown))))
    lines = [Line(_row_text(titles[0], titles[1:], name_width, widths), "dim")]
    lines += [Line(_row_text(row.name, row.cells, name_width, widths), row.style) for row in shown]
    if len(shown) < len(rows):
        lines.append(Line(f"… {len(rows) - len(shown)} more", "dim"))
    return lines


def _widths(titles: Sequence[str], rows: Sequence[Row]) -> list[int]:
    """Return the width of each column but that of the names."""
    return [
        max(cell_len(text) for text in (title, *(row.cells[number] for row in rows)))
        for number, title in enumerate(titles[1:])
    ]


def _row_text(name: str, cells: Sequence[str], name_width: int, widths: Sequence[int]) -> str:
    texts = [set_cell_size(cell, width) for cell, width in zip(cells, widths, strict=False)]
    return _GAP.join([shortened(name, name_width), *texts])


def shortened(text: str, width: int) -> str:
    """Return a text of exactly this width; `…` stands for what was cut."""
    if cell_len(text) > width:
        return set_cell_size(text, width - 1) + "…"
    return set_cell_size(text, width)


def frame(
    head: Sequence[Line],
    titles: Sequence[str],
    rows: Sequence[Row],
    foot: Sequence[Line],
    columns: int,
    height: int,
) -> list[Line]:
    """Return a frame: what happens, the table, and what is known besides if there is room."""
    gap = [Line("")] if height >= _ROOMY else []
    foot = foot if height >= _ROOMY else []
    room = height - len(head) - len(foot) - 2 * len(gap)
    table = table_lines(titles, rows, columns, room) if rows else []
    lines = [*head, *(gap if table else []), *table, *(gap if foot else []), *foot]
    return [Line(shortened(line.text, columns).rstrip(), line.style) for line in lines]
