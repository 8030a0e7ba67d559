"""The terminal and the result folder that commands write to."""

from __future__ import annotations

import errno
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedWriter, FileIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from feedbench.bench.signals import interrupts_deferred

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.console import Console

    from feedbench.bench.report.document import Part, TableData
    from feedbench.bench.report.terminal import Terminal

_LOST = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
_PIPE_COLUMNS = 160  # a pipe has no width; this shows every column of a table


def prepare_streams() -> None:
    """Replace closed standard streams by the null device, and ignore an invalid COLUMNS.

    Without that, the next file to be opened would get the number of the closed stream, and child
    processes would print into it.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode)  # noqa: SIM115  open until the process ends
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
    if sys.__stderr__ is not None and sys.stderr is sys.__stderr__:  # not of a test
        sys.stderr = _progress_stream(sys.stderr.fileno(), close=False)
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # some encodings lack ×, – and …
    if not _is_width(os.environ.get("COLUMNS", "")):
        os.environ.pop("COLUMNS", None)


class _Progress(FileIO):
    """A file of progress and notes, whose loss does not end hours of measuring or training."""

    def write(self, data: Any) -> int:
        """Write, or drop what a full disk, a closed or a slow terminal does not take."""
        try:
            return super().write(data) or len(data)  # None of a terminal that takes no more now
        except OSError as error:
            if error.errno not in _LOST:
                raise
            return len(data)


class _Lines(TextIOWrapper):
    """Text whose lines are written once: interrupted between file and buffer, they came twice."""

    def write(self, text: str) -> int:
        """Write text; Ctrl-C is delayed until its complete lines are in the file."""
        with interrupts_deferred():
            return super().write(text)

    def flush(self) -> None:
        """Write what is buffered; Ctrl-C is delayed until it is in the file."""
        with interrupts_deferred():
            super().flush()


def _progress_stream(descriptor: int, *, close: bool) -> TextIO:
    """Return standard error, or a copy of it.

    Args:
        close: whether to close the descriptor with the stream.
    """
    file = BufferedWriter(_Progress(descriptor, "wb", closefd=close))
    return _Lines(
        file, sys.stderr.encoding, errors="backslashreplace", newline="\n", line_buffering=True
    )


def _is_width(text: str) -> bool:
    return text.isascii() and text.isdecimal() and int(text) > 0


def console(*, to_errors: bool = False, wide: bool = False) -> Terminal:
    """Return a console on standard output.

    Args:
        to_errors: write to standard error instead, since standard output is data for a program.
        wide: whether tables have all columns, however narrow the terminal is.
    """
    return _console_on(sys.stderr if to_errors else sys.stdout, wide=wide)


def _console_on(stream: TextIO, *, wide: bool = False) -> Terminal:
    from feedbench.bench.report.terminal import Terminal

    if stream.isatty():
        return Terminal(file=stream, has_wide_tables=wide)
    width = int(os.environ.get("COLUMNS", _PIPE_COLUMNS))
    return Terminal(file=stream, width=width, has_wide_tables=wide)


def print_parts(terminal: Terminal, parts: Iterable[Part]) -> None:
    """Print lines, and tables that fit into the terminal, all at once.

    So a reader that closes the pipe after the first line has had everything, as long as it fits
    into the pipe.
    """
    shown = list(parts)
    with terminal:
        for part in shown:
            _print_part(terminal, part)


def _print_part(terminal: Terminal, part: Part) -> None:
    from feedbench.bench.report.document import TableData

    if not isinstance(part, TableData):
        terminal.print(part.text, style=part.style, soft_wrap=part.form != "text")
    elif part.filled:
        _print_table(terminal, part)


def _print_table(terminal: Terminal, table: TableData[Any]) -> None:
    from feedbench.bench.report.rich_table import rich_table

    built, paragraphs = rich_table(table, terminal.table_width)
    terminal.print(built, soft_wrap=True)
    for text in paragraphs:
        terminal.print(text)


@contextmanager
def redirect_library_output(log: Path) -> Iterator[Console]:
    """Redirect standard error, also of C++ code, to a file; yield a console on the original one.

    TensorFlow logs its build options there at any log level.
    """
    sys.stderr.flush()
    with _progress_stream(os.dup(2), close=True) as original:
        with log.open("ab") as file:
            os.dup2(file.fileno(), 2)
        try:
            yield _console_on(original)
        finally:
            sys.stderr.flush()
            os.dup2(original.fileno(), 2)


def result_folder(out: Path | None, kind: str) -> Path:
    """Create and return the result folder.

    Args:
        out: the value of --out; by default a folder in results/ with the kind and the time.

    Raises:
        RecordError: the folder cannot be created or is not empty.
    """
    from feedbench.bench.files import dated_folder, new_folder

    return new_folder(out) if out else dated_folder(Path("results"), kind)


def show_hint(folder: Path) -> str:
    """Return how to print a run again that cannot be resumed, for its last line."""
    command = shlex.join(["feedbench", "show", str(folder)])
    return f"a new run starts from the beginning; to see this one again: {command}"
