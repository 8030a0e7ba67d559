"""Where commands write: the terminal and the result folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_PIPE_COLUMNS = 160  # a pipe has no width of its own, and a table must not be folded to 80 there


def prepare_streams() -> None:
    """Make standard output, standard error and COLUMNS usable, whatever the shell gave.

    A closed stream becomes the null device: else the next file that is opened would take its
    number, and child processes would print into that file.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode)  # noqa: SIM115  open until the process ends
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an encoding without ×, – or …
    if not _is_width(os.environ.get("COLUMNS", "")):
        os.environ.pop("COLUMNS", None)


def _is_width(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) > 0


def console(*, to_errors: bool = False) -> Console:
    """Standard output, or standard error where the output itself is for programs."""
    from rich.console import Console

    if (sys.stderr if to_errors else sys.stdout).isatty():
        return Console(stderr=to_errors)
    return Console(stderr=to_errors, width=int(os.environ.get("COLUMNS", _PIPE_COLUMNS)))


@contextmanager
def redirect_library_output(log: Path) -> Iterator[None]:
    """What libraries write to standard error goes to a file instead.

    TensorFlow writes of its own building there, from C++, whatever its log level is.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 2)
        yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)


def result_folder(out: Path | None, kind: str) -> Path:
    """The folder that was asked for, or one named by the time; new or empty."""
    from feedbench.bench.files import new_folder

    return new_folder(out or Path("results") / f"{kind}-{datetime.now():%Y%m%d-%H%M%S}")
