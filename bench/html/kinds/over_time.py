"""Blocks over time: waits, steps, and the readings of all meters, as lanes that zoom together."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import Literal

import numpy as np

from feedbench.bench.analysis.device import busy_periods, emulated_step_s, handed_over_at
from feedbench.bench.html.charts.colors import ACCENT, COST
from feedbench.bench.html.charts.lanes import Lane, Readings, lanes
from feedbench.bench.html.kinds.meters import ReadTrack, mean_of_cores, meters
from feedbench.bench.html.parts import Chart, Details, Part, Text
from feedbench.bench.meters.sampling import interval_starts
from feedbench.bench.quantities import quantity
from feedbench.bench.record import Block, Trial
from feedbench.bench.report.table import trial_name

COLUMNS = 500  # periods per lane; more are not visible before zooming far in
_GAP = 0.02  # between two blocks, as a fraction of the mean block
_MOST_CORES = 16  # lanes of cores; more are shown in groups of neighbours
_TIME = "seconds, block after block"

DECIMATED = Text(
    "Only timed seconds are shown, without those between the blocks. Where a lane has more "
    "readings than can be told apart, the smallest and, paler, the largest of each stretch are "
    f"drawn, at most {COLUMNS} stretches per lane.",
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
        columns: largest number of periods per lane.
        step_s: returns the step of an emulated device in a block, in seconds; None if the device
            is real, and not observed.
        takes_nothing: whether the consumer does no work, so that it always waits.
    """

    name: str
    columns: int = COLUMNS
    step_s: Callable[[Block], float] | None = None
    takes_nothing: bool = False


def over_time(blocks: Sequence[Block], shown: Shown) -> Chart | None:
    """Return the lanes of all blocks of a trial; None without a block.

    It has no table: the raw samples of the same page are one.
    """
    if not blocks:
        return None
    clock = _clock(blocks)
    strips = list(_strips(clock, shown))
    title = _title(blocks, shown)
    names = "; ".join(strip.name for strip in strips)
    return Chart(
        title,
        f"{title}. {quantity(len(blocks), 'block')} in order of time, in lanes from top to bottom: "
        f"{names}.",
        lanes(strips, clock.breaks, clock.end, _TIME, shown.columns),
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
    return float(np.diff(busy_periods(block, step_s)).sum())


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
    if shown.step_s is not None:
        yield _device(clock, shown.step_s, shown.columns)
    yield _lane("host waits for each batch", _durations(clock, "wait_s"), COST, "ms")
    step = "host hands over each batch" if shown.step_s else "step with each batch"
    yield _lane(step, _durations(clock, "step_s"), ACCENT, "ms")
    if any(block.idle_s for block in clock.blocks):
        idle = _durations(clock, "idle_s")
        yield _lane("device known to be idle, per batch", idle, COST, "ms")
    yield from _cores(clock)
    for name, unit, color, read, least in meters(clock.blocks):
        readings = _readings(clock, read)
        if readings.high.any():
            yield _lane(name, readings, color, unit, least)


def _device(clock: _Clock, step_s: Callable[[Block], float], columns: int) -> Lane:
    """Return a lane whose colour is strong while an emulated device works, by column."""
    blocks = zip(clock.blocks, clock.starts, strict=True)
    periods = np.concatenate([start + busy_periods(one, step_s(one)) for one, start in blocks])
    lengths = np.diff(periods, axis=1)
    busy_s = np.cumsum(lengths)[:, None] - np.hstack([lengths, 0 * lengths])  # at both ends of each
    edges = np.linspace(0.0, clock.end, columns + 1)
    times = np.append(0.0, periods)  # there may be no period
    busy_before_s = np.interp(edges, times, np.append(0.0, busy_s))
    shares = np.round(np.diff(busy_before_s) / np.diff(edges), 2).clip(0.0, 1.0)
    first = np.flatnonzero(np.diff(shares, prepend=-1.0))  # neighbours that are equal become one
    readings = Readings.of(edges[first], edges[[*first[1:], columns]], shares[first])
    name = "emulated device, strong while busy"
    return Lane(name, readings, ACCENT, lambda share: f"busy {share:.0%}", shaded=True, height=22)


def _durations(clock: _Clock, name: Literal["wait_s", "step_s", "idle_s"]) -> Readings:
    """Return what each step of all blocks took, in milliseconds.

    A wait, and the idle time known of it, ends when the batch arrives; then the step begins.
    """
    found = []
    for block, start in zip(clock.blocks, clock.starts, strict=True):
        arrived = start + handed_over_at(block)
        seconds = np.array((getattr(block, name) or ())[: arrived.size])
        begin = arrived[: seconds.size] - (0.0 if name == "step_s" else seconds)
        found.append([begin, begin + seconds, seconds * 1e3])
    return Readings.of(*np.concatenate(found, axis=1))


def _lane(name: str, readings: Readings, color: str, unit: str, least: float = 0.0) -> Lane:
    """Return readings as heights, the largest at full height.

    Args:
        least: reading that is at full height if all are smaller.
    """
    label = f"{name}, up to {_text(readings.highest, unit)}"
    text = partial(_text, unit=unit)
    return Lane(label, readings, color, text, max(readings.highest, least) or 1.0)


def _text(value: float, unit: str) -> str:
    return f"{value:{',.0f' if value >= 100 else '.3g'}} {unit}".rstrip()


def _cores(clock: _Clock) -> Iterator[Lane]:
    """Yield a thin lane per core, whose colour is strong while it is in use."""
    hosts = [block.host for block in clock.blocks if block.host]
    cores = sorted({core for host in hosts for core in host.cores})
    size = -(-len(cores) // _MOST_CORES)
    for first in range(0, len(cores), size or 1):
        group = cores[first : first + size]
        word = f"core {group[0]}" if len(group) == 1 else f"cores {group[0]} to {group[-1]}"
        how = ", strong while in use" if not first else ""
        readings = _readings(clock, mean_of_cores(group))
        text = "{:.0%} in use".format
        yield Lane(f"{word}{how}", readings, ACCENT, text, shaded=True, height=12)


def _readings(clock: _Clock, read: ReadTrack) -> Readings:
    """Return the readings with the period that each covers."""
    found = []
    for block, start in zip(clock.blocks, clock.starts, strict=True):
        at_s, values = read(block)
        for begin, end, value in zip(interval_starts(at_s), at_s, values, strict=False):
            if value is not None:
                found.append((start + begin, start + min(end, block.seconds), value))
    return Readings.of(*np.array(found).reshape(-1, 3).T)
