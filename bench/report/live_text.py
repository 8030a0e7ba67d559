"""The texts of a live display: durations, sparklines, and tables that fit into a few lines."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import mean

from rich.cells import cell_len, set_cell_size

from feedbench.bench.analysis.contention import Timed, busy_text, cores_of_others, is_much
from feedbench.bench.quantities import quantity
from feedbench.bench.record import Block, TimedBlock, present
from feedbench.bench.report.live import Line, Style

CTRL_C = "Ctrl-C ends the run and keeps what was measured"
_WAITS_MEANING = Line(
    "waits: share of the time without a batch; bars: during the last block", "dim"
)
_LEVELS = "▁▂▃▄▅▆▇█"
_BINS = 8  # of a sparkline
_LEAST_NAME = 12  # characters of the first column, beside all others
_GAP = "  "
_RULE = "─"
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


def meters_text(block: Block, *, waits: bool = True) -> str:
    """Return the cores, disk and GPU that were in use during a block.

    Args:
        waits: whether waiting means something: a consumer that does nothing always waits.
    """
    texts = [f"wait {wait_share(block):.0%}"] if waits and block.wait_s else []
    if block.host is not None and block.host.cores:
        used = [mean(present(samples) or [0.0]) for samples in block.host.cores.values()]
        texts.append(f"{sum(used):.1f} of {quantity(len(used), 'core')} in use{_by_others(block)}")
    if block.host is not None and (disk := present(block.host.disk_read_bytes_per_s)):
        texts.append(f"disk {mean(disk) / 1e6:,.0f} MB/s")
    if gpus := [mean(shares) for one in block.gpus if (shares := present(one.utilization))]:
        texts.append(f"GPU {percents(gpus)}")
    return " · ".join(texts)


def percents(shares: Iterable[float]) -> str:
    """Return what each of several GPUs does, such as `95%, 93%`."""
    return ", ".join(f"{share:.0%}" for share in shares)


def _by_others(block: Block) -> str:
    used = cores_of_others(block) if block.wait_s else None  # a stage prepares its files besides
    if used is None or block.host is None or not is_much(used, len(block.host.cores)):
        return ""
    return f", {used:.1f} by other programs"


def readings(block: Block | None, busy: str, *, waits: bool = True) -> list[Line]:
    """Return what is known besides the rates: what waits are, and what is in use.

    Args:
        block: the last; None before the first.
        busy: from `busy_line`.
        waits: as for `meters_text`.
    """
    lines = [_WAITS_MEANING] if waits else []
    if block is not None and (text := meters_text(block, waits=waits)):
        lines.append(Line(f"last  {text}"))
    return [*lines, Line(busy, "red")] if busy else lines


def busy_line(trials: Sequence[Timed]) -> str:
    """Return that other programs use cores; empty if they do not, or it is unknown."""
    used = busy_text(trials)
    return f"Other programs use {used}: the results may differ without them" if used else ""


@dataclass(frozen=True)
class Row:
    """A line of a table: a name, and one text for each of the other columns.

    Attributes:
        rank: without room for all rows, those of the highest rank are shown.
    """

    name: str
    cells: tuple[str, ...]
    style: Style = "plain"
    rank: float = 0.0


@dataclass(frozen=True)
class Apart:
    """Rows below a rule, which says what they are."""

    title: str
    rows: Sequence[Row]


def table_lines(
    titles: Sequence[str],
    rows: Sequence[Row],
    columns: int,
    height: int,
    apart: Apart | None = None,
) -> list[Line]:
    """Return a table of at most `height` lines.

    Columns at the right are left out if the names would be too short, and rows if there is no room
    for all of them.

    Args:
        titles: of all columns, that of the names first.
        columns: width in characters.
        apart: shown below the rows, if all fit.
    """
    if height < 2:
        return []
    others = apart.rows if apart else ()
    fits = 1 + len(rows) + (1 + len(others) if others else 0) <= height
    shown = rows if fits else _most_important(rows, height - 2)
    below = others if fits else ()
    widths = _widths(titles, [*rows, *others])
    while len(widths) > 1 and columns - sum(widths) - len(_GAP) * len(widths) < _LEAST_NAME:
        widths.pop()
    room = columns - sum(widths) - len(_GAP) * len(widths)
    names = (titles[0], *(row.name for row in (*shown, *below)))
    name_width = min(room, max(map(cell_len, names)))
    lines = [Line(_row_text(titles[0], titles[1:], name_width, widths), "dim")]
    lines += [_row_line(row, name_width, widths) for row in shown]
    if apart and below:
        lines.append(_rule(apart.title, name_width + sum(widths) + len(_GAP) * len(widths)))
        lines += [_row_line(row, name_width, widths) for row in below]
    if not fits:
        lines.append(Line(f"… {len(rows) + len(others) - len(shown)} more", "dim"))
    return lines


def _rule(title: str, width: int) -> Line:
    text = f"{_RULE * 2} {title} "
    return Line(text + _RULE * max(0, width - cell_len(text)), "dim")


def _most_important(rows: Sequence[Row], count: int) -> list[Row]:
    """Return the rows of the highest ranks, in their given order."""
    numbers = sorted(range(len(rows)), key=lambda number: -rows[number].rank)[:count]
    return [rows[number] for number in sorted(numbers)]


def _widths(titles: Sequence[str], rows: Sequence[Row]) -> list[int]:
    """Return the width of each column but that of the names."""
    return [
        max(cell_len(text) for text in (title, *(row.cells[number] for row in rows)))
        for number, title in enumerate(titles[1:])
    ]


def _row_line(row: Row, name_width: int, widths: Sequence[int]) -> Line:
    return Line(_row_text(row.name, row.cells, name_width, widths), row.style)


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
    apart: Apart | None = None,
) -> list[Line]:
    """Return a frame: what happens, the table, and what is known besides if there is room.

    Args:
        apart: shown below the rows, if all fit.
    """
    gap = [Line("")] if height >= _ROOMY else []
    foot = foot if height >= _ROOMY else []
    room = height - len(head) - len(foot) - 2 * len(gap)
    table = table_lines(titles, rows, columns, room, apart) if rows or apart else []
    lines = [*head, *(gap if table else []), *table, *(gap if foot else []), *foot]
    return [Line(shortened(line.text, columns).rstrip(), line.style) for line in lines]
