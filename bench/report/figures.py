"""The matplotlib figure of all plots: needs no display, changes no global state, saved at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from feedbench.bench.errors import RecordError
from feedbench.bench.files import replacing

_DEFAULT_FORMAT = "png"


@contextmanager
def saved_figure(path: Path, width: float, height: float, dpi: int = 120) -> Iterator[Any]:
    """Yield an empty matplotlib figure and saves it in the format of the file's suffix.

    Args:
        path: PNG if it has no suffix.
        width, height: in inches.

    Raises:
        RecordError: the file cannot be written, or matplotlib does not know its format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width, height), dpi=dpi, layout="constrained")
    kind = path.suffix.removeprefix(".").lower() or _DEFAULT_FORMAT
    if kind not in FigureCanvasAgg(figure).get_supported_filetypes():
        raise RecordError(f"{path}: no picture format {kind!r}; name a file such as picture.png")
    yield figure
    with replacing(path) as temporary:
        figure.savefig(temporary, format=kind)
