"""Where commands write: the terminal and the result folder; and what they tell the shell."""

from __future__ import annotations

import os
import sys
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

NOTHING_DONE, WRONG_USE, INTERRUPTED = 1, 2, 130
_PIPE_COLUMNS = 160  # a pipe has no width of its own, and a table must not be folded to 80 there


def console() -> Console:
    """Standard output."""
    from rich.console import Console

    if sys.stdout.isatty():
        return Console()
    return Console(width=int(os.environ.get("COLUMNS", _PIPE_COLUMNS)))


def result_folder(out: Path | None, kind: str) -> Path:
    """The folder that was asked for, or one named by the time; new or empty."""
    from bench.record import new_folder

    return new_folder(out or Path("results") / f"{kind}-{datetime.now():%Y%m%d-%H%M%S}")
