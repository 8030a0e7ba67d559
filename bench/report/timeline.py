"""Blocks as a picture: waits and steps on top, and below them what each meter saw meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from feedbench.bench.meters.gpu import throttling
from feedbench.bench.meters.sampling import interval_starts
from feedbench.bench.record import Block, Gpu
from feedbench.bench.report.figures import picture

_WAIT, _STEP, _THROTTLED = "#e45756", "#54a24b", "#f58518"
_GAP = 0.03  # of a mean block, between two blocks
_INCHES = {"width": 11.0, "batches": 0.9, "row": 1.0, "rest": 1.3}
_DPI = 110

Track = tuple[Sequence[float], Sequence[float | None]]  # times in the block, values
Read = Callable[[Block], Track]


@dataclass(frozen=True)
class _Row:
    """Lines over one axis, and others over an axis on the right.

    Attributes:
        share: from 0 to 1, drawn in full whatever the lines reach.
        marked: the GPU whose throttling is shaded behind the lines.
    """

    label: str
    lines: dict[str, Read]
    right: dict[str, Read] = field(default_factory=dict)
    share: bool = False
    marked: int | None = None


def draw_timeline(blocks: Sequence[Block], path: Path, title: str) -> None:
    """A PNG of the blocks side by side in the order of their rounds, timed seconds only.

    Rows without a reading are left out.

    Raises:
        RecordError: the file cannot be written.
    """
    starts = _starts(blocks)
    rows = [row for row in _rows(blocks) if any(map(_is_told, _tracks(row, blocks)))]
    cores = any(block.host and block.host.cores for block in blocks)
    heights = [_INCHES["batches"], *[_INCHES["row"]] * (cores + len(rows))]
    with picture(path, _INCHES["width"], sum(heights) + _INCHES["rest"], _DPI) as figure:
        axes = figure.subplots(
            len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
        )[:, 0]
        _batches(axes[0], blocks, starts)
        if cores:
            _cores(axes[1], blocks, starts)
        for place, row in zip(axes[1 + cores :], rows, strict=True):
            _row(place, row, blocks, starts)
        axes[0].set_title(title, fontsize=9, loc="left")
        axes[0].set_xlim(0, starts[-1] + blocks[-1].seconds)
        axes[-1].set_xlabel("timed seconds, block after block; between blocks others were timed")


def _starts(blocks: Sequence[Block]) -> list[float]:
    """Where each block begins in the picture."""
    seconds = np.array([block.seconds for block in blocks])
    return list(np.cumsum([0.0, *(seconds[:-1] + _GAP * seconds.mean())]))


def _batches(axes: Any, blocks: Sequence[Block], starts: Sequence[float]) -> None:
    for block, start in zip(blocks, starts, strict=True):
        took = np.column_stack([block.wait_s, block.step_s]).ravel()
        begun = start + np.cumsum(took) - took
        bars = np.column_stack([begun, took])
        axes.broken_barh(bars[::2], (1.05, 0.9), color=_WAIT, linewidth=0)
        axes.broken_barh(bars[1::2], (0.05, 0.9), color=_STEP, linewidth=0)
        waited = sum(block.wait_s) / block.seconds
        about = f"{block.images_per_second:,.0f} images/s, waited {waited:.0%}"
        axes.text(start, 2.05, about, fontsize=7, va="bottom")
    axes.set_yticks([0.5, 1.5], ["steps", "waits"], fontsize=8)
    axes.set_ylim(0, 2.6)


def _cores(axes: Any, blocks: Sequence[Block], starts: Sequence[float]) -> None:
    """One stripe a core, dark where it was in use."""
    names = sorted({core for block in blocks if block.host for core in block.host.cores})
    for block, start in zip(blocks, starts, strict=True):
        if block.host is None:
            continue
        edges = start + np.array([interval_starts(block.host.at_s)[0], *block.host.at_s])
        nothing = [None] * len(block.host.at_s)
        shares = np.array([block.host.cores.get(core, nothing) for core in names], float)
        rows = np.arange(len(names) + 1) - 0.5
        axes.pcolormesh(edges, rows, shares, vmin=0, vmax=1, cmap="Blues")
    axes.set_yticks(*_few(names), fontsize=7)
    axes.set_ylabel("cores in use", fontsize=8)


def _few(names: Sequence[int]) -> tuple[Sequence[int], Sequence[str]]:
    """Places and names of at most nine cores, so that they can be read."""
    places = range(0, len(names), -(-len(names) // 9))
    return list(places), [str(names[place]) for place in places]


def _row(axes: Any, row: _Row, blocks: Sequence[Block], starts: Sequence[float]) -> None:
    sides = [(axes, row.lines, 0)]
    if any(_is_told(read(block)) for read in row.right.values() for block in blocks):
        sides.append((axes.twinx(), row.right, len(row.lines)))
    drawn = []
    for side, lines, first in sides:
        for number, (name, read) in enumerate(lines.items(), first):
            shown = f"{name} (right)" if side is not axes else name
            drawn += _line(side, read, shown, f"C{number}", blocks, starts)
        top = 1.0 if row.share and side is axes else max(0.0, side.dataLim.y1)
        side.set_ylim(0, 1.1 * top or 1.0)
        side.tick_params(labelsize=7)
    if row.marked is not None:
        drawn += _throttled(axes, row.marked, blocks, starts)
    axes.set_ylabel(row.label, fontsize=8)
    above = {"loc": "lower right", "bbox_to_anchor": (1, 0.97), "ncols": len(drawn)}
    axes.legend(handles=drawn, fontsize=7, frameon=False, **above)


def _line(
    axes: Any, read: Read, name: str, color: str, blocks: Sequence[Block], starts: Sequence[float]
) -> list[Any]:
    """Each value over the time that it tells of; one handle for the legend."""
    drawn = []
    for block, start in zip(blocks, starts, strict=True):
        track = read(block)
        if _is_told(track):
            at_s, values = track
            edges = start + np.array([interval_starts(at_s)[0], *at_s])
            level = np.array(values, float)
            drawn.append(axes.stairs(level, edges, baseline=None, color=color, label=name))
    return drawn[:1]


def _throttled(
    axes: Any, index: int, blocks: Sequence[Block], starts: Sequence[float]
) -> list[Any]:
    drawn = []
    for block, start in zip(blocks, starts, strict=True):
        for gpu in _gpus(block, index):
            spans = zip(interval_starts(gpu.at_s), gpu.at_s, gpu.clock_reasons, strict=False)
            for begin, end, bits in spans:
                if bits is not None and (reasons := throttling(bits)):
                    label = f"held down: {', '.join(reasons)}"
                    about = {"color": _THROTTLED, "alpha": 0.25, "linewidth": 0, "label": label}
                    drawn.append(axes.axvspan(start + begin, start + end, **about))
    return list({span.get_label(): span for span in drawn}.values())


def _tracks(row: _Row, blocks: Sequence[Block]) -> Iterator[Track]:
    for read in row.lines.values():
        yield from map(read, blocks)


def _is_told(track: Track) -> bool:
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
                "a kernel runs (NVML)": _gpu(index, "utilization"),
                "multiprocessors (GPM)": _gpu(index, "multiprocessors"),
            },
            share=True,
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
            marked=index,
        ),
    ]


def _host(reading: str, unit: float = 1.0) -> Read:
    def read(block: Block) -> Track:
        if block.host is None:
            return [], []
        return block.host.at_s, _scaled(getattr(block.host, reading), unit)

    return read


def _gpu(index: int, reading: str, unit: float = 1.0) -> Read:
    def read(block: Block) -> Track:
        for gpu in _gpus(block, index):
            if gpu.at_s:  # older records have no times
                return gpu.at_s, _scaled(getattr(gpu, reading), unit)
        return [], []

    return read


def _gpus(block: Block, index: int) -> list[Gpu]:
    return [gpu for gpu in block.gpus if gpu.index == index]


def _scaled(samples: Sequence[float | None], unit: float) -> list[float | None]:
    return [None if sample is None else sample / unit for sample in samples]
