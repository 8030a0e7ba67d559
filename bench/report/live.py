"""A live area: the last lines of a terminal, drawn again in place twice per second.

Rich's `Live` erases its lines before it draws them, which flickers, and leaves some behind when the
window becomes narrower. Here a frame overwrites the previous one in a single write.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any, Literal, NamedTuple, Self

from rich.cells import cell_len, set_cell_size
from rich.console import Console

from feedbench.bench.report.terminal import harmless
from feedbench.bench.signals import interrupts_deferred
from feedbench.bench.trials.silence import lines_through

PERIOD_S = 0.5  # more refreshes would take CPU time from what is measured
_SYNCHRONIZED = "\x1b[?2026h\x1b[?25l"  # terminals that know it show only the complete frame
_DONE = "\x1b[?25h\x1b[?2026l"
_CLEAR_TO_END = "\x1b[J"
_CLEAR_LINE_END = "\x1b[K"
_CLEAR_SCREEN = "\x1b[H\x1b[2J"

Style = Literal["plain", "bold", "dim", "red"]
_CODES: dict[Style, str] = {"plain": "", "bold": "\x1b[1m", "dim": "\x1b[2m", "red": "\x1b[31m"}
# In place of what an encoding lacks; as wide, so that columns stay aligned.
_ASCII = str.maketrans("…·–−─×÷▸▁▂▃▄▅▆▇█", "~|---x/>_.-:=+*#")


class Line(NamedTuple):
    """A line of a frame."""

    text: str
    style: Style = "plain"


Draw = Callable[[int, int], Sequence[Line]]  # takes the columns and lines that are available


def is_live(console: Console) -> bool:
    """Whether a console is a terminal in which lines can be drawn again."""
    return console.file.isatty() and not console.is_dumb_terminal


class LiveArea:
    """The area below a terminal's text, drawn on a thread of its own inside a `with` block.

    It is erased at the end. Other output must go through `print` meanwhile.
    """

    def __init__(self, console: Console, draw: Draw) -> None:
        """Prepare the area.

        Args:
            console: a terminal.
            draw: returns the lines of a frame; called on the thread of the area.
        """
        self._console = console
        self._draw = draw
        self._shown: list[Line] = []
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._open = ExitStack()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._open.enter_context(lines_through(partial(self.print, markup=False, soft_wrap=True)))
        return self

    def __exit__(self, *_: object) -> None:
        with interrupts_deferred(), suppress(OSError):  # the terminal may be closed
            self._open.close()
            self._ended.set()
            self._thread.join()
            self._erase()

    def print(self, text: str, **options: Any) -> None:
        """Print text above the area; `options` are those of `Console.print`."""
        with self._lock:
            self._erase()
            self._console.print(text, width=self._size()[0], **options)
        self._paint()

    def _run(self) -> None:
        with suppress(OSError):
            self._paint()
            while not self._ended.wait(PERIOD_S):
                self._paint()

    def _paint(self) -> None:
        """Draw a frame over the previous one, unless they are equal."""
        columns, rows = self._size()
        # A character in the last column would be erased with the rest of its line.
        columns, rows = columns - 1, rows - 1
        with self._lock:
            lines = [self._fitted(line, columns) for line in self._draw(columns, rows)[:rows]]
            if lines == self._shown:
                return
            body = "\n".join(self._styled(line) + _CLEAR_LINE_END for line in lines)
            self._write(self._to_start(columns, rows) + body + _CLEAR_TO_END)
            self._shown = lines

    def _size(self) -> tuple[int, int]:
        """Return the columns and rows of the terminal; an unusable size counts as 80 × 24."""
        with suppress(OSError, ValueError):
            columns, rows = os.get_terminal_size(self._console.file.fileno())
            if columns > 1 and rows > 1:
                return columns, rows
        return 80, 24

    def _fitted(self, line: Line, columns: int) -> Line:
        """Return a line in the terminal's encoding, cut to its width."""
        text = harmless(line.text).rstrip()
        encoding = self._console.encoding
        try:
            text.encode(encoding)
        except UnicodeEncodeError:
            text = text.translate(_ASCII).encode(encoding, "replace").decode(encoding)
        return Line(set_cell_size(text, columns) if cell_len(text) > columns else text, line.style)

    def _styled(self, line: Line) -> str:
        is_hidden = self._console.no_color and line.style == "red"
        code = "" if is_hidden else _CODES[line.style]
        return f"{code}{line.text}\x1b[0m" if code else line.text

    def _to_start(self, columns: int, rows: int) -> str:
        """Return the codes that move the cursor to where the next frame begins."""
        if any(cell_len(line.text) > columns for line in self._shown):
            return _CLEAR_SCREEN  # the window became narrower, and its lines may have wrapped
        above = min(len(self._shown), rows) - 1
        return "\r" + (f"\x1b[{above}A" if above > 0 else "")

    def _erase(self) -> None:
        if self._shown:
            columns, rows = self._size()
            self._write(self._to_start(columns - 1, rows - 1) + _CLEAR_TO_END)
            self._shown = []

    def _write(self, text: str) -> None:
        self._console.file.write(f"{_SYNCHRONIZED}{text}{_DONE}")
        self._console.file.flush()
