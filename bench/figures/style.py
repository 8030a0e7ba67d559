"""Colours, sizes and axes of all pictures; the colours differ for every kind of colour vision.

Source: Okabe and Ito, "Color Universal Design", 2008, for the palette.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

INK, MUTED, RULE, PALE = "#1b1b1b", "#5c5f66", "#c9ccd1", "#e6e8eb"
BLUE, ORANGE, GREEN, SKY = "#0072b2", "#e69f00", "#009e73", "#56b4e9"
VERMILLION, PURPLE = "#d55e00", "#cc79a7"
LINES = (BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION)  # of several lines in one plot

TITLE_SIZE, TEXT_SIZE, SMALL_SIZE = 13.0, 9.0, 8.0  # points
SETTINGS: dict[str, Any] = {
    "font.size": TEXT_SIZE,
    "axes.labelsize": TEXT_SIZE,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": SMALL_SIZE,
    "ytick.labelsize": SMALL_SIZE,
    "legend.fontsize": SMALL_SIZE,
    "legend.frameon": False,
    "axes.axisbelow": True,
    "grid.color": PALE,
    "text.color": INK,
    "text.parse_math": False,  # a $ in a user's file name is no formula
    "svg.fonttype": "none",  # text stays text: it can be searched, copied and read aloud
    "svg.hashsalt": "feedbench",  # the same figure gives the same file
}


def legend_above(axes: Any, handles: Sequence[Any]) -> None:
    """Put a legend of one line above the right end of the axes."""
    place = {"loc": "lower right", "bbox_to_anchor": (1, 1), "borderaxespad": 0.2}
    axes.legend(handles=handles, ncols=max(1, len(handles)), handlelength=1.4, **place)


def panel_title(axes: Any, text: str) -> None:
    """Write what one of several plots shows above its left end."""
    axes.set_title(text, loc="left", fontsize=TEXT_SIZE, fontweight="bold")


def plain_log_scale(axes: Any, name: str, unit: str = "") -> None:
    """Make an axis logarithmic, with plain numbers at 1, 2 and 5 of each decade or, over many, 1.

    Args:
        axes: axes whose limits are set.
        name: "x" or "y".
        unit: written after each number.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    low, high = getattr(axes, f"get_{name}lim")()
    axes.set(**{f"{name}scale": "log", f"{name}lim": (low, high)})
    axis = getattr(axes, f"{name}axis")
    axis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 3000 else (1,)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{plain(value)}{unit}"))
    axis.set_minor_formatter(NullFormatter())


def plain(value: float) -> str:
    """Return a number as people write it: 28,294 or 0.05."""
    return f"{value:,.0f}" if value >= 10 else f"{value:.2g}"


def sentence(text: str) -> str:
    """Return the text with a capital first letter."""
    return text[:1].upper() + text[1:]
