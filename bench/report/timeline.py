"""Plots the blocks of a trial over time: device, host and cores, and below them the meters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median

import numpy as np

from feedbench.bench.analysis.device import idle_share
from feedbench.bench.figures.figure import saved_figure
from feedbench.bench.figures.heading import Heading
from feedbench.bench.figures.style import sentence
from feedbench.bench.record import Block, present
from feedbench.bench.report.subject import Subject
from feedbench.bench.report.timeline_lanes import draw_cores, draw_lanes
from feedbench.bench.report.timeline_meters import draw_row, rows_with_readings

_GAP = 0.03  # between two blocks, as a fraction of the mean block
_WIDTH, _BESIDE = 11.0, 1.3  # inches: all, and left and right of the axes
_LANE, _ROW, _AXIS = 0.6, 1.15, 0.5  # inches of height
_DPI = 110


def draw_timeline(blocks: Sequence[Block], path: Path, subject: Subject) -> None:
    """Save a plot of the blocks, side by side in the order of their rounds.

    Meters without any reading are left out.

    Raises:
        RecordError: the file cannot be written.
    """
    starts = _starts(blocks)
    rows, at_zero = rows_with_readings(blocks)
    has_device = idle_share(blocks, subject.seconds_per_image) is not None
    has_cores = any(block.host and block.host.cores for block in blocks)
    heights = [_LANE * (1.5 + has_device), *[_ROW] * (has_cores + len(rows))]
    heading = Heading(_finding(blocks, subject), _subtitle(blocks, subject), _note(at_zero))
    with saved_figure(path, _WIDTH, sum(heights) + _AXIS, heading, _DPI) as figure:
        axes = figure.subplots(
            len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
        )[:, 0]
        end = starts[-1] + blocks[-1].seconds
        scale = (_WIDTH - _BESIDE) / end
        draw_lanes(axes[0], blocks, starts, subject.seconds_per_image, scale)
        if has_cores:
            draw_cores(axes[1], blocks, starts)
        for row_axes, row in zip(axes[1 + has_cores :], rows, strict=True):
            draw_row(row_axes, row, blocks, starts)
        axes[0].set_xlim(0, end)
        axes[-1].set_xlabel("timed seconds; between the blocks, others were timed")
        figure.align_ylabels(axes)


def _starts(blocks: Sequence[Block]) -> list[float]:
    """Return the position at which each block begins in the plot, in seconds."""
    seconds = np.array([block.seconds for block in blocks])
    return list(np.cumsum([0.0, *(seconds[:-1] + _GAP * seconds.mean())]))


def _finding(blocks: Sequence[Block], subject: Subject) -> str:
    """Return what the timeline shows: how long the device, or else the host, waits."""
    idle = idle_share(blocks, subject.seconds_per_image)
    if not subject.consumer:
        return f"{subject.loader} alone gives {_rate(blocks)}"
    if idle is not None:
        known = "" if subject.seconds_per_image else "is known to idle "
        verb = known or "idles "
        return f"{sentence(subject.consumer)} {verb}{idle:.0%} of the time with {subject.loader}"
    running = [
        share for block in blocks for gpu in block.gpus for share in present(gpu.utilization)
    ]
    if running:
        share = sum(running) / len(running)
        return f"The GPU runs a kernel {share:.0%} of the time with {subject.loader}"
    wait = sum(sum(block.wait_s) for block in blocks) / sum(block.seconds for block in blocks)
    return f"{sentence(subject.consumer)} waits {wait:.0%} of the time for {subject.loader}"


def _subtitle(blocks: Sequence[Block], subject: Subject) -> str:
    rate = _rate(blocks)
    count = "1 block" if len(blocks) == 1 else f"the median of {len(blocks)} blocks"
    return f"{subject.conditions}. {rate}, {count}."


def _rate(blocks: Sequence[Block]) -> str:
    return f"{median(block.images_per_second for block in blocks):,.0f} images/s"


def _note(at_zero: Sequence[str]) -> str:
    return f"Zero throughout: {'; '.join(at_zero)}." if at_zero else ""
