"""The rows of a timeline that show meter readings: disk, page faults, GPUs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from feedbench.bench.figures.style import LINES, MUTED, ORANGE, legend_above
from feedbench.bench.meters.gpu import throttling
from feedbench.bench.meters.sampling import interval_starts
from feedbench.bench.record import Block, Gpu

Track = tuple[Sequence[float], Sequence[float | None]]  # seconds since the block began, values
ReadTrack = Callable[[Block], Track]


@dataclass(frozen=True)
class MeterRow:
    """One plot of meter readings.

    Attributes:
        label: what is read, with its unit.
        lines: by name.
        is_share: whether the values are shares of 1, shown in percent.
        throttled_gpu: index of the GPU whose throttling is shaded behind the lines.
    """

    label: str
    lines: dict[str, ReadTrack]
    is_share: bool = False
    throttled_gpu: int | None = None


def rows_with_readings(blocks: Sequence[Block]) -> tuple[list[MeterRow], list[str]]:
    """Return the rows that have something to show, and the names of what stayed at zero."""
    shown, at_zero = [], []
    for row in _rows(blocks):
        read = {name: line for name, line in row.lines.items() if [*_values(line, blocks)]}
        moving = {name: line for name, line in read.items() if any(_values(line, blocks))}
        at_zero += [f"{row.label.split(',')[0]} {name}" for name in read if name not in moving]
        if moving:
            shown.append(MeterRow(row.label, moving, row.is_share, row.throttled_gpu))
    return shown, at_zero


def draw_row(axes: Any, row: MeterRow, blocks: Sequence[Block], starts: Sequence[float]) -> None:
    """Draw the lines of a row from zero, with a legend that also explains shaded throttling."""
    handles = []
    for color, (name, read) in zip(LINES, row.lines.items(), strict=False):
        handles += _draw_line(axes, read, name, color, blocks, starts)
    axes.set_ylim(0, 1.05 if row.is_share else 1.1 * axes.dataLim.y1)
    axes.yaxis.set_major_formatter(lambda value, _: _tick(value, row.is_share))
    axes.yaxis.get_major_locator().set_params(nbins=4)
    if row.throttled_gpu is not None:
        handles += _shade_throttling(axes, row.throttled_gpu, blocks, starts)
    axes.set_ylabel(row.label.replace(", ", "\n"), color=MUTED)
    axes.grid(axis="y")
    legend_above(axes, handles)


def _tick(value: float, is_share: bool) -> str:
    if is_share:
        return f"{value:.0%}"
    return f"{value:,.0f}" if value >= 10 else f"{value:g}"


def _draw_line(
    axes: Any,
    read: ReadTrack,
    label: str,
    color: str,
    blocks: Sequence[Block],
    starts: Sequence[float],
) -> list[Any]:
    """Draw each value over the period that it covers, and return one handle for the legend."""
    handles = []
    for block, start in zip(blocks, starts, strict=True):
        at_s, values = read(block)
        if any(value is not None for value in values):
            edges = start + np.array([interval_starts(at_s)[0], *at_s])
            level, style = np.array(values, float), {"color": color, "linewidth": 1.4}
            handles.append(axes.stairs(level, edges, baseline=None, label=label, **style))
    return handles[:1]


def _shade_throttling(
    axes: Any, index: int, blocks: Sequence[Block], starts: Sequence[float]
) -> list[Any]:
    """Shade the periods with reduced clocks, and return one handle per reason."""
    spans = []
    for block, start in zip(blocks, starts, strict=True):
        for gpu in _gpus(block, index):
            periods = zip(interval_starts(gpu.at_s), gpu.at_s, gpu.clock_reasons, strict=False)
            for begin, end, bits in periods:
                if bits is not None and (reasons := throttling(bits)):
                    label = f"clocks reduced: {', '.join(reasons)}"
                    style = {"color": ORANGE, "alpha": 0.3, "linewidth": 0, "label": label}
                    spans.append(axes.axvspan(start + begin, start + end, **style))
    return list({span.get_label(): span for span in spans}.values())


def _values(read: ReadTrack, blocks: Sequence[Block]) -> Iterator[float]:
    for block in blocks:
        yield from (value for value in read(block)[1] if value is not None)


def _rows(blocks: Sequence[Block]) -> list[MeterRow]:
    gpus = sorted({gpu.index for block in blocks for gpu in block.gpus})
    megabytes = 1e6
    rows = [
        MeterRow(
            "disk, MB/s",
            {
                "read": _host("disk_read_bytes_per_s", megabytes),
                "written": _host("disk_write_bytes_per_s", megabytes),
            },
        ),
        MeterRow("disk, queue", {"requests in flight": _host("disk_queue")}),
        MeterRow(
            "page faults, 1,000/s",
            {
                "minor (no disk needed)": _host("minor_faults_per_s", 1e3),
                "major (read from disk)": _host("major_faults_per_s", 1e3),
            },
        ),
    ]
    return rows + [row for index in gpus for row in _gpu_rows(index)]


def _gpu_rows(index: int) -> list[MeterRow]:
    name = f"GPU {index}"
    return [
        MeterRow(
            f"{name}, in use",
            {
                "a kernel runs (NVML)": _gpu(index, "utilization"),
                "multiprocessors in use (GPM)": _gpu(index, "multiprocessors"),
            },
            is_share=True,
        ),
        MeterRow(f"{name}, W", {"power": _gpu(index, "power_w")}),
        MeterRow(
            f"{name}, PCIe MB/s",
            {
                "from the host": _gpu(index, "pcie_rx_bytes_per_s", 1e6),
                "to the host": _gpu(index, "pcie_tx_bytes_per_s", 1e6),
            },
        ),
        MeterRow(
            f"{name}, MHz",
            {
                "multiprocessors": _gpu(index, "sm_clock_mhz"),
                "memory": _gpu(index, "memory_clock_mhz"),
            },
            throttled_gpu=index,
        ),
    ]


def _host(reading: str, unit: float = 1.0) -> ReadTrack:
    def read(block: Block) -> Track:
        if block.host is None:
            return [], []
        return block.host.at_s, _scaled(getattr(block.host, reading), unit)

    return read


def _gpu(index: int, reading: str, unit: float = 1.0) -> ReadTrack:
    def read(block: Block) -> Track:
        for gpu in _gpus(block, index):
            if gpu.at_s:  # samples of old records have no times
                return gpu.at_s, _scaled(getattr(gpu, reading), unit)
        return [], []

    return read


def _gpus(block: Block, index: int) -> list[Gpu]:
    return [gpu for gpu in block.gpus if gpu.index == index]


def _scaled(samples: Sequence[float | None], unit: float) -> list[float | None]:
    return [None if sample is None else sample / unit for sample in samples]
