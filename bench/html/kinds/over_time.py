"""Blocks over time: waits, steps, and the readings of all meters, as lanes that zoom together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate

from feedbench.bench.analysis.device import busy_periods, emulated_step_s
from feedbench.bench.html.charts.colors import ACCENT, COST
from feedbench.bench.html.charts.lanes import Lane, Span, decimated, lanes
from feedbench.bench.html.kinds.meters import ReadTrack, mean_of_cores, meters
from feedbench.bench.html.kinds.samples import blocks_table
from feedbench.bench.html.parts import Chart, Details, Part, Text
from feedbench.bench.meters.sampling import interval_starts
from feedbench.bench.record import Block, Trial
from feedbench.bench.report.table import trial_name

COLUMNS = 600  # points per lane; more are not visible before zooming far in
_GAP = 0.02  # between two blocks, as a fraction of the mean block
_MOST_CORES = 16  # lanes of cores; more are shown in groups of neighbours
_TIME = "seconds, block after block"

DECIMATED = Text(
    "Only timed seconds are shown; other trials were timed between the blocks. Where a lane has "
    "more readings than can be told apart, the smallest and, paler, the largest of each stretch "
    f"are drawn, at most {COLUMNS} stretches per lane.",
    "note",
)


@dataclass(frozen=True)
class _Clock:
    """When each block begins in the chart, in seconds."""

    blocks: Sequence[Block]
    starts: Sequence[float]
    end: float

    @property
    def breaks(self) -> list[float]:
        """Where one block ends and the next begins."""
        pairs = zip(self.blocks, self.starts, self.starts[1:], strict=False)
        return [(start + block.seconds + following) / 2 for block, start, following in pairs]


@dataclass(frozen=True)
class Shown:
    """What a chart over time shows.

    Attributes:
        name: of what feeds the consumer, for the title.
        columns: largest number of points per lane.
        step_s: returns the step of an emulated device in a block, in seconds; None if the device
            is real, and not observed.
        takes_nothing: whether the consumer does no work, so that it always waits.
    """

    name: str
    columns: int = COLUMNS
    step_s: Callable[[Block], float] | None = None
    takes_nothing: bool = False


def over_time(blocks: Sequence[Block], shown: Shown) -> Chart | None:
    """Return the lanes of all blocks of a trial; None without a block."""
    if not blocks:
        return None
    clock = _clock(blocks)
    strips = list(_strips(clock, shown))
    title = _title(blocks, shown)
    names = "; ".join(strip.name for strip in strips)
    return Chart(
        title,
        f"{title}. {len(blocks)} blocks one after the other, in lanes from top to bottom: {names}.",
        lanes(strips, clock.breaks, clock.end, _TIME),
        table=blocks_table(blocks),
    )


def shown_of(trial: Trial, columns: int = COLUMNS) -> Shown:
    """Return how to show a trial."""
    return Shown(
        trial_name(trial),
        columns,
        None if trial.accelerator is None else partial(emulated_step_s, trial),
        takes_nothing=trial.consumer == "drain",
    )


def _title(blocks: Sequence[Block], shown: Shown) -> str:
    seconds = sum(block.seconds for block in blocks)
    waited = sum(sum(block.wait_s) for block in blocks) / seconds
    if shown.takes_nothing:
        return f"{shown.name} alone, batch after batch"
    if shown.step_s is None:
        return f"With {shown.name}, the consumer waits for batches {waited:.0%} of the time"
    idle = 1 - sum(_busy_s(block, shown.step_s(block)) for block in blocks) / seconds
    return f"With {shown.name}, the emulated device idles {max(0.0, idle):.0%} of the time"


def _busy_s(block: Block, step_s: float) -> float:
    return sum(end - begin for begin, end in busy_periods(block, step_s))


def more_over_time(charts: Iterable[Chart | None], title: str) -> list[Part]:
    """Return charts that are closed at first; nothing if there are none."""
    parts = [chart for chart in charts if chart is not None]
    return [Details(title, parts)] if parts else []


def _clock(blocks: Sequence[Block]) -> _Clock:
    seconds = [block.seconds for block in blocks]
    gap = _GAP * sum(seconds) / len(seconds)
    starts = list(accumulate((one + gap for one in seconds), initial=0.0))
    return _Clock(blocks, starts[:-1], starts[-1] - gap)


def _strips(clock: _Clock, shown: Shown) -> Iterator[Lane]:
    columns = shown.columns
    if shown.step_s is not None:
        yield _device(clock, shown.step_s, columns)
    waits, steps = _durations(clock)
    yield _lane("host waits for each batch", waits, COST, columns, clock, "ms")
    yield _lane(
        "host hands over each batch" if shown.step_s else "step with each batch",
        steps,
        ACCENT,
        columns,
        clock,
        "ms",
    )
    idle = _idle(clock)
    if idle:
        yield _lane("device known to be idle, per batch", idle, COST, columns, clock, "ms")
    yield from _cores(clock, columns)
    for name, unit, color, read, top in meters(clock.blocks):
        readings = _readings(clock, read)
        if any(value for *_, value in readings):
            yield _lane(name, readings, color, columns, clock, unit, top)


def _device(clock: _Clock, step_s: Callable[[Block], float], columns: int) -> Lane:
    """Return a lane whose colour is strong while an emulated device works, by column."""
    width = clock.end / columns
    busy_s = [0.0] * columns
    for block, start in zip(clock.blocks, clock.starts, strict=True):
        for begin, end in busy_periods(block, step_s(block)):
            _add(busy_s, start + begin, start + end, width)
    spans: list[Span] = []
    for column, seconds in enumerate(busy_s):
        share = round(min(1.0, seconds / width), 2)
        text = f"busy {share:.0%}"
        if spans and spans[-1].high == share:
            spans[-1] = replace(spans[-1], end=(column + 1) * width)
        else:
            spans.append(Span(column * width, (column + 1) * width, share, share, text))
    return Lane("emulated device, strong while busy", spans, ACCENT, shaded=True, height=22)


def _add(busy_s: list[float], begin: float, end: float, width: float) -> None:
    """Add a period to the columns that it covers."""
    last = len(busy_s) - 1
    for column in range(min(last, int(begin / width)), min(last, int(end / width)) + 1):
        covered = min(end, (column + 1) * width) - max(begin, column * width)
        busy_s[column] += max(0.0, covered)


Reading = tuple[float, float, float]  # begin, end, value


def _durations(clock: _Clock) -> tuple[list[Reading], list[Reading]]:
    """Return the waits and the steps, in milliseconds."""
    waits, steps = [], []
    for block, start in zip(clock.blocks, clock.starts, strict=True):
        at = start
        for wait_s, step_s in zip(block.wait_s, block.step_s, strict=False):
            waits.append((at, at + wait_s, wait_s * 1e3))
            steps.append((at + wait_s, at + wait_s + step_s, step_s * 1e3))
            at += wait_s + step_s
    return waits, steps


def _idle(clock: _Clock) -> list[Reading]:
    """Return the known idle time of the device at the end of each wait, in milliseconds."""
    found = []
    for block, start in zip(clock.blocks, clock.starts, strict=True):
        at = start
        for wait_s, step_s, idle_s in zip(
            block.wait_s, block.step_s, block.idle_s or (), strict=False
        ):
            found.append((at + wait_s - idle_s, at + wait_s, idle_s * 1e3))
            at += wait_s + step_s
    return found


def _lane(
    name: str,
    readings: Sequence[Reading],
    color: str,
    columns: int,
    clock: _Clock,
    unit: str,
    top: float | None = None,
) -> Lane:
    """Return readings as heights.

    Args:
        top: reading at full height; by default the largest.
    """
    highest = max((value for *_, value in readings), default=0.0)
    full = top or highest or 1.0
    spans = [
        Span(begin, end, min(1.0, value / full), min(1.0, value / full), _text(value, unit))
        for begin, end, value in readings
    ]
    label = f"{name}, up to {_text(highest, unit)}"
    return Lane(label, decimated(spans, clock.end, columns), color)


def _text(value: float, unit: str) -> str:
    return f"{value:{',.0f' if value >= 100 else '.3g'}} {unit}".rstrip()


def _cores(clock: _Clock, columns: int) -> Iterator[Lane]:
    """Yield a thin lane per core, whose colour is strong while it is in use."""
    hosts = [block.host for block in clock.blocks if block.host]
    cores = sorted({core for host in hosts for core in host.cores})
    size = -(-len(cores) // _MOST_CORES)
    for first in range(0, len(cores), size or 1):
        group = cores[first : first + size]
        spans = [
            Span(begin, end, value, value, f"{value:.0%} in use")
            for begin, end, value in _readings(clock, mean_of_cores(group))
        ]
        word = f"core {group[0]}" if len(group) == 1 else f"cores {group[0]} to {group[-1]}"
        how = ", strong while in use" if not first else ""
        shades = decimated(spans, clock.end, columns)
        yield Lane(f"{word}{how}", shades, ACCENT, shaded=True, height=12)


def _readings(clock: _Clock, read: ReadTrack) -> list[Reading]:
    """Return the readings with the period that each covers."""
    found = []
    for block, start in zip(clock.blocks, clock.starts, strict=True):
        at_s, values = read(block)
        for begin, end, value in zip(interval_starts(at_s), at_s, values, strict=False):
            if value is not None:
                found.append((start + begin, start + min(end, block.seconds), value))
    return found
