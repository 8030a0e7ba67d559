"""The matplotlib figure of all pictures: needs no display, changes no state that lasts."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from feedbench.bench.errors import RecordError
from feedbench.bench.figures.heading import MARGIN, Heading, above, below, inches, write
from feedbench.bench.files import replacing

_DEFAULT_FORMAT = "png"
_METADATA = ("png", "svg")  # formats that keep a title


@contextmanager
def saved_figure(
    path: Path, width: float, height: float, heading: Heading, dpi: int = 120
) -> Iterator[Any]:
    """Yield an empty matplotlib figure, and save it in the format of the file's suffix.

    Args:
        path: PNG if it has no suffix.
        width: in inches.
        height: in inches, without the heading and the note below.
        heading: what was found.
        dpi: pixels per inch.

    Raises:
        RecordError: the file cannot be written, or matplotlib does not know its format.
    """
    with _style():
        figure = _new_figure(width, height, heading, dpi)
        kind = path.suffix.removeprefix(".").lower() or _DEFAULT_FORMAT
        if kind not in figure.canvas.get_supported_filetypes():
            raise RecordError(
                f"{path}: no picture format {kind!r}; name a file such as picture.png or "
                "picture.svg"
            )
        yield figure
        if not any(axes.get_in_layout() for axes in figure.axes):
            figure.set_layout_engine("none")  # else it warns that it has nothing to lay out
        with replacing(path) as temporary:
            figure.savefig(temporary, format=kind, metadata=_metadata(kind, heading))


@contextmanager
def _style() -> Iterator[None]:
    """Apply Feedbench's style, whatever the user's own matplotlibrc says."""
    import matplotlib

    from feedbench.bench.figures.fonts import families
    from feedbench.bench.figures.style import SETTINGS

    with matplotlib.rc_context(), warnings.catch_warnings():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update({**SETTINGS, "font.family": families()})
        # A name in a script without an installed font is drawn as boxes.
        warnings.filterwarnings("ignore", r"Glyph .* missing from", UserWarning)
        yield


def _new_figure(width: float, height: float, heading: Heading, dpi: int) -> Any:
    """Return a figure with its texts, which lays out its axes between them."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    head, foot = above(heading, width - 2 * MARGIN), below(heading, width - 2 * MARGIN)
    head_inches, foot_inches = inches(head), inches(foot)
    total = head_inches + height + foot_inches
    figure = Figure((width, total), dpi=dpi)
    FigureCanvasAgg(figure)
    between = (0.0, foot_inches / total, 1.0, height / total)
    padding = {"w_pad": MARGIN, "h_pad": MARGIN / 2}
    figure.set_layout_engine("constrained", rect=between, **padding)
    write(figure, head, total)
    write(figure, foot, foot_inches)
    return figure


def axes_at(figure: Any, left: float, bottom: float, width: float, height: float) -> Any:
    """Return axes at a place that the layout does not change.

    Args:
        figure: of `saved_figure`.
        left: inches from the left edge.
        bottom: inches above the note, or above the lower edge if there is none.
        width: in inches.
        height: in inches.
    """
    all_width, all_height = figure.get_size_inches()
    above_note = figure.get_layout_engine().get()["rect"][1] * all_height + bottom
    shares = (left / all_width, above_note / all_height, width / all_width, height / all_height)
    axes = figure.add_axes(shares)
    axes.set_in_layout(False)
    return axes


def _metadata(kind: str, heading: Heading) -> dict[str, Any] | None:
    """Return the title for screen readers and searches; without the time, files can be compared."""
    if kind not in _METADATA:
        return None
    return {"Title": heading.title, **({"Date": None} if kind == "svg" else {})}
