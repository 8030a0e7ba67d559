"""Plots the blocks of a trial over time: waits and steps, and below them each meter's readings."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from feedbench.bench.meters.gpu import throttling
from feedbench.bench.meters.sampling import interval_starts
from feedbench.bench.record import Block, Gpu
from feedbench.bench.report.figures import saved_figure

_WAIT, _STEP, _THROTTLED = "#e45756", "#54a24b", "#f58518"
_GAP = 0.03  # between two blocks, as a fraction of the mean block
_INCHES = {"width": 11.0, "batches": 0.9, "row": 1.0, "margins": 1.3}
_DPI = 110

Track = tuple[Sequence[float], Sequence[float | None]]  # seconds since the block began, values
ReadTrack = Callable[[Block], Track]


@dataclass(frozen=True)
class _Row:
    """One plot of meter readings.

    Attributes:
        lines: by name, with the axis on the left.
        right: by name, with an axis of their own on the right.
        is_fraction: whether the left axis always reaches from 0 to 1.
        throttled_gpu: index of the GPU whose throttling is shaded behind the lines.
    """

    label: str
    lines: dict[str, ReadTrack]
    right: dict[str, ReadTrack] = field(default_factory=dict)
    is_fraction: bool = False
    throttled_gpu: int | None = None


def draw_timeline(blocks: Sequence[Block], path: Path, title: str) -> None:
    """Save a plot of the blocks, side by side in the order of their rounds.

    Plots without any reading are left out.

    Raises:
        RecordError: the file cannot be written.
    """
    starts = _starts(blocks)
    rows = [row for row in _rows(blocks) if any(map(_has_values, _tracks(row, blocks)))]
    has_cores = any(block.host and block.host.cores for block in blocks)
    heights = [_INCHES["batches"], *[_INCHES["row"]] * (has_cores + len(rows))]
    with saved_figure(path, _INCHES["width"], sum(heights) + _INCHES["margins"], _DPI) as figure:
        axes = figure.subplots(
            len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
        )[:, 0]
        _draw_batches(axes[0], blocks, starts)
        if has_cores:
            _draw_cores(axes[1], blocks, starts)
        for row_axes, row in zip(axes[1 + has_cores :], rows, strict=True):
            _draw_row(row_axes, row, blocks, starts)
        axes[0].set_title(title, fontsize=9, loc="left", parse_math=False)
        axes[0].set_xlim(0, starts[-1] + blocks[-1].seconds)
        axes[-1].set_xlabel(
            "timed seconds, block after block; other trials were timed between the blocks"
        )


def _starts(blocks: Sequence[Block]) -> list[float]:
    """Return the position at which each block begins in the plot, in seconds."""
    seconds = np.array([block.seconds for block in blocks])
    return list(np.cumsum([0.0, *(seconds[:-1] + _GAP * seconds.mean())]))


def _draw_batches(axes: Any, blocks: Sequence[Block], starts: Sequence[float]) -> None:
    for block, start in zip(blocks, starts, strict=True):
        durations = np.column_stack([block.wait_s, block.step_s]).ravel()
        begins_s = start + np.cumsum(durations) - durations
        bars = np.column_stack([begins_s, durations])
        axes.broken_barh(bars[::2], (1.05, 0.9), color=_WAIT, linewidth=0)
        axes.broken_barh(bars[1::2], (0.05, 0.9), color=_STEP, linewidth=0)
        wait_share = sum(block.wait_s) / block.seconds
        label = f"{block.images_per_second:,.0f} images/s, wait {wait_share:.0%}"
        axes.text(start, 2.05, label, fontsize=7, va="bottom")
    axes.set_yticks([0.5, 1.5], ["steps", "waits"], fontsize=8)
    axes.set_ylim(0, 2.6)


def _draw_cores(axes: Any, blocks: Sequence[Block], starts: Sequence[float]) -> None:
    """Draw one stripe per core, dark while it is in use."""
    cores = sorted({core for block in blocks if block.host for core in block.host.cores})
    for block, start in zip(blocks, starts, strict=True):
        if block.host is None:
            continue
        edges = start + np.array([interval_starts(block.host.at_s)[0], *block.host.at_s])
        no_samples = [None] * len(block.host.at_s)
        in_use = np.array([block.host.cores.get(core, no_samples) for core in cores], float)
        rows = np.arange(len(cores) + 1) - 0.5
        axes.pcolormesh(edges, rows, in_use, vmin=0, vmax=1, cmap="Blues")
    axes.set_yticks(*_core_ticks(cores), fontsize=7)
    axes.set_ylabel("cores in use", fontsize=8)


def _core_ticks(cores: Sequence[int]) -> tuple[Sequence[int], Sequence[str]]:
    """Return the positions and labels of at most nine cores, so that they stay legible."""
    positions = range(0, len(cores), -(-len(cores) // 9))
    return list(positions), [str(cores[position]) for position in positions]


def _draw_row(axes: Any, row: _Row, blocks: Sequence[Block], starts: Sequence[float]) -> None:
    sides = [(axes, row.lines, 0)]
    if any(_has_values(read(block)) for read in row.right.values() for block in blocks):
        sides.append((axes.twinx(), row.right, len(row.lines)))
    handles = []
    for side, lines, first_color in sides:
        for number, (name, read) in enumerate(lines.items(), first_color):
            label = f"{name} (right)" if side is not axes else name
            handles += _draw_line(side, read, label, f"C{number}", blocks, starts)
        top = 1.0 if row.is_fraction and side is axes else max(0.0, side.dataLim.y1)
        side.set_ylim(0, 1.1 * top or 1.0)
        side.tick_params(labelsize=7)
    if row.throttled_gpu is not None:
        handles += _shade_throttling(axes, row.throttled_gpu, blocks, starts)
    axes.set_ylabel(row.label, fontsize=8)
    above = {"loc": "lower right", "bbox_to_anchor": (1, 0.97), "ncols": len(handles)}
    axes.legend(handles=handles, fontsize=7, frameon=False, **above)


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
        track = read(block)
        if _has_values(track):
            at_s, values = track
            edges = start + np.array([interval_starts(at_s)[0], *at_s])
            level = np.array(values, float)
            handles.append(axes.stairs(level, edges, baseline=None, color=color, label=label))
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
                    style = {"color": _THROTTLED, "alpha": 0.25, "linewidth": 0, "label": label}
                    spans.append(axes.axvspan(start + begin, start + end, **style))
    return list({span.get_label(): span for span in spans}.values())


def _tracks(row: _Row, blocks: Sequence[Block]) -> Iterator[Track]:
    for read in row.lines.values():
        yield from map(read, blocks)


def _has_values(track: Track) -> bool:
    return any(value is not None for value in track[1])


def _rows(blocks: Sequence[Block]) -> list[_Row]:
    gpus = sorted({gpu.index for block in blocks for gpu in block.gpus})
    rows = [
        _Row(
            "disk MB/s",
            {
                "read": _host("disk_read_bytes_per_s", 1e6),
                "written": _host("disk_write_bytes_per_s", 1e6),
            },
            right={"requests in flight": _host("disk_queue")},
        ),
        _Row(
            "page faults/s",
            {"minor": _host("minor_faults_per_s")},
            right={"major": _host("major_faults_per_s")},
        ),
    ]
    return rows + [row for index in gpus for row in _gpu_rows(index)]


def _gpu_rows(index: int) -> list[_Row]:
    return [
        _Row(
            f"GPU {index} in use",
            {
                "kernel running (NVML)": _gpu(index, "utilization"),
                "multiprocessors in use (GPM)": _gpu(index, "multiprocessors"),
            },
            is_fraction=True,
        ),
        _Row(f"GPU {index} power W", {"power": _gpu(index, "power_w")}),
        _Row(
            f"GPU {index} PCIe MB/s",
            {
                "from the host": _gpu(index, "pcie_rx_bytes_per_s", 1e6),
                "to the host": _gpu(index, "pcie_tx_bytes_per_s", 1e6),
            },
        ),
        _Row(
            f"GPU {index} MHz",
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
