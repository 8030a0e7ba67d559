"""The matplotlib set-up of all pictures: no display, no global state, written whole."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from feedbench.bench.errors import RecordError
from feedbench.bench.files import replacing

_FORMAT = "png"  # of a file without suffix


@contextmanager
def saved_figure(path: Path, width: float, height: float, dpi: int = 120) -> Iterator[Any]:
    """Yields an empty matplotlib figure, and saves it in the format of the file's suffix.

    Args:
        width: in inches, as `height`.

    Raises:
        RecordError: the file cannot be written, or matplotlib does not know its format.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure((width, height), dpi=dpi, layout="constrained")
    kind = path.suffix.removeprefix(".").lower() or _FORMAT
    known = FigureCanvasAgg(figure).get_supported_filetypes()
    if kind not in known:
        raise RecordError(f"{path}: no picture format {kind!r}; name a file such as picture.png")
    yield figure
    with replacing(path) as beside:
        figure.savefig(beside, format=kind)
