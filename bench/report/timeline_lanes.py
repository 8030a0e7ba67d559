"""The top of a timeline: what the device and the host did, and the cores."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from feedbench.bench.analysis.device import Periods, emulated_busy, idle_share, known_idle
from feedbench.bench.figures.heading import text_width
from feedbench.bench.figures.style import BLUE, MUTED, SMALL_SIZE, VERMILLION, legend_above
from feedbench.bench.meters.sampling import interval_starts
from feedbench.bench.record import Block

_WAIT, _WORK = "#c3c7cd", "#4d5158"  # of the host: quiet, since a waiting host is no idle device
_MANY = 1500  # bars, above which a vector picture holds them as pixels
_CORES_MAP = "Blues"


def draw_lanes(
    axes: Any,
    blocks: Sequence[Block],
    starts: Sequence[float],
    seconds_per_image: float | None,
    inches_per_second: float,
) -> None:
    """Draw a lane for the device, if it was observed, above one for the host.

    Args:
        axes: where to draw.
        blocks: side by side.
        starts: where each begins.
        seconds_per_image: of an emulated accelerator.
        inches_per_second: scale of the picture, by which labels are chosen that fit.
    """
    lanes = {"host": 0.0}
    handles = [_patch(_WAIT, "host waits for a batch"), _patch(_WORK, "host runs the step")]
    if idle_share(blocks, seconds_per_image) is not None:
        lanes["device"] = 1.0
        handles[1] = _patch(_WORK, "host hands it over")
        handles = [_patch(BLUE, "device busy"), _patch(VERMILLION, "device idle"), *handles]
    for block, start in zip(blocks, starts, strict=True):
        _draw_host(axes, block, start)
        if "device" in lanes:
            _draw_device(axes, block, start, seconds_per_image)
    top = len(lanes) + 0.05
    _label_blocks(axes, blocks, starts, seconds_per_image, top, inches_per_second)
    axes.set_yticks([middle + 0.5 for middle in lanes.values()], list(lanes))
    axes.set_ylim(0, top + 0.5)
    axes.tick_params(left=False)
    axes.spines["left"].set_visible(False)
    legend_above(axes, handles)


def _draw_host(axes: Any, block: Block, start: float) -> None:
    durations = np.column_stack([block.wait_s, block.step_s]).ravel()
    begins_s = start + np.cumsum(durations) - durations
    _bars(axes, np.array([[start, block.seconds]]), 0.0, _WORK)
    _bars(axes, np.column_stack([begins_s, durations])[::2], 0.0, _WAIT)


def _draw_device(axes: Any, block: Block, start: float, seconds_per_image: float | None) -> None:
    if seconds_per_image is not None:
        base, color, periods = VERMILLION, BLUE, emulated_busy(block, seconds_per_image)
    else:
        idle = known_idle(block)
        assert idle is not None, "the share of idle time is known only with its periods"
        base, color, periods = BLUE, VERMILLION, idle
    _bars(axes, np.array([[start, block.seconds]]), 1.0, base)
    _bars(axes, _begin_and_length(periods, start), 1.0, color)


def _begin_and_length(periods: Periods, start: float) -> Periods:
    return np.column_stack([start + periods[:, 0], periods[:, 1] - periods[:, 0]])


def _bars(axes: Any, bars: Periods, lane: float, color: str) -> None:
    many = len(bars) > _MANY
    axes.broken_barh(bars, (lane + 0.08, 0.84), color=color, linewidth=0, rasterized=many)


def _patch(color: Any, label: str) -> Any:
    from matplotlib.patches import Patch

    return Patch(color=color, label=label, linewidth=0)


def _label_blocks(
    axes: Any,
    blocks: Sequence[Block],
    starts: Sequence[float],
    seconds_per_image: float | None,
    y: float,
    inches_per_second: float,
) -> None:
    """Write rate and shares above each block, in a form that fits above all of them."""
    forms = zip(*(_labels(block, seconds_per_image) for block in blocks), strict=True)
    for labels in forms:
        widths = (text_width(label, SMALL_SIZE) for label in labels)
        rooms = (block.seconds * inches_per_second for block in blocks)
        if all(width <= room for width, room in zip(widths, rooms, strict=True)):
            for label, start in zip(labels, starts, strict=True):
                axes.text(start, y, label, fontsize=SMALL_SIZE, va="bottom", color=MUTED)
            return


def _labels(block: Block, seconds_per_image: float | None) -> tuple[str, str, str]:
    """Return the label of a block in three lengths."""
    rate, wait = f"{block.images_per_second:,.0f}", sum(block.wait_s) / block.seconds
    idle = idle_share([block], seconds_per_image)
    share = f"host waits {wait:.0%}" if idle is None else f"device idle {idle:.0%}"
    number = f"block {block.round + 1}: "
    return f"{number}{rate} images/s, {share}", f"{rate} images/s, {share.split()[-1]}", rate


def draw_cores(axes: Any, blocks: Sequence[Block], starts: Sequence[float]) -> None:
    """Draw one stripe per core, darker the more it is in use, with the scale of the colours."""
    cores = sorted({core for block in blocks if block.host for core in block.host.cores})
    for block, start in zip(blocks, starts, strict=True):
        if block.host is None or not block.host.at_s:
            continue
        edges = start + np.array([interval_starts(block.host.at_s)[0], *block.host.at_s])
        no_samples = [None] * len(block.host.at_s)
        in_use = np.array([block.host.cores.get(core, no_samples) for core in cores], float)
        rows = np.arange(len(cores) + 1) - 0.5
        axes.pcolormesh(edges, rows, in_use, vmin=0, vmax=1, cmap=_CORES_MAP, rasterized=True)
    axes.set_yticks(*_core_ticks(cores))
    axes.tick_params(left=False)
    axes.set_ylabel("core", color=MUTED)
    _draw_scale(axes)


def _core_ticks(cores: Sequence[int]) -> tuple[Sequence[int], Sequence[str]]:
    """Return the positions and labels of at most nine cores, so that they stay legible."""
    positions = range(0, len(cores), -(-len(cores) // 9))
    return list(positions), [str(cores[position]) for position in positions]


def _draw_scale(axes: Any) -> None:
    """Draw the scale above the right end."""
    import matplotlib

    colors = matplotlib.colormaps[_CORES_MAP]
    steps = [_patch(colors(share), f"{share:.0%}") for share in (0.0, 0.25, 0.5, 0.75, 1.0)]
    for step in steps:
        step.set_edgecolor(MUTED)
        step.set_linewidth(0.4)
    legend_above(axes, [_patch("none", "core in use:"), *steps])
