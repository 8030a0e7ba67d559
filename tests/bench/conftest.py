import codecs
import fcntl
import itertools
import os
import pty
import re
import struct
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from feedbench.bench.commands.output import print_parts
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Block, Trial
from feedbench.bench.report.terminal import Terminal
from feedbench.bench.trials.events import EventKind, TrialEvent

CLASSES = ("circle", "square")
PATIENCE_S = 240  # with a program on a terminal, on a slow machine
SPEC = {"image_size": 8, "batch_size": 4, "resize": "stretch", "interpolation": "nearest"}


@pytest.fixture(scope="session")
def tiny_photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """train, validation and test folders of two classes that a network can tell apart."""
    root = tmp_path_factory.mktemp("tiny") / "photos"
    random = np.random.default_rng(0)
    for split, count in (("train", 24), ("validation", 4), ("test", 4)):
        for label, name in enumerate(CLASSES):
            folder = root / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(0, 120, (60, 80, 3)) + 110 * label
                Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{number}.jpg")
    return root


class Pictures:
    """The figures that were saved, and what can be seen on them."""

    def __init__(self) -> None:
        self.saved: list = []

    def visible(self, figure) -> list:
        """Return every text that is drawn."""
        found = list(figure.texts)
        for axes in figure.axes:
            found += [*axes.texts, axes.title, axes._left_title, axes.xaxis.label, axes.yaxis.label]
            if axes.get_legend() is not None:
                found += axes.get_legend().get_texts()
            if axes.axison:
                for axis in (axes.xaxis, axes.yaxis):
                    found += [tick.label1 for tick in axis._update_ticks()]
        return [text for text in found if text.get_visible() and text.get_text().strip()]

    def texts(self, figure) -> list[str]:
        return [text.get_text() for text in self.visible(figure)]

    def faults(self, figure) -> list[str]:
        """Return the texts that overlap each other, or that the edge cuts."""
        renderer = figure.canvas.get_renderer()
        boxes = [
            (text.get_text(), text.get_window_extent(renderer)) for text in self.visible(figure)
        ]
        edge = figure.bbox
        cut = [
            f"{name!r} is cut"
            for name, box in boxes
            if box.x0 < -1 or box.y0 < -1 or box.x1 > edge.x1 + 1 or box.y1 > edge.y1 + 1
        ]
        pairs = itertools.combinations(boxes, 2)
        return cut + [
            f"{one!r} overlaps {other!r}"
            for (one, first), (other, second) in pairs
            if min(first.x1, second.x1) - max(first.x0, second.x0) > 1
            and min(first.y1, second.y1) - max(first.y0, second.y0) > 2
        ]


@pytest.fixture
def pictures(monkeypatch: pytest.MonkeyPatch) -> Pictures:
    """Return the figures that are saved during a test, to look at their texts."""
    from matplotlib.figure import Figure

    pictures, save = Pictures(), Figure.savefig

    def savefig(figure, *args, **kwargs) -> None:
        save(figure, *args, **kwargs)
        figure.canvas.draw()
        pictures.saved.append(figure)

    monkeypatch.setattr(Figure, "savefig", savefig)
    return pictures


@pytest.fixture(scope="session")
def printed() -> Callable[..., str]:
    """Return a function that returns what a terminal of some width shows of tables and lines."""

    def shown(*parts, width: int = 200) -> str:
        terminal = Terminal(width=width, file=StringIO())
        print_parts(terminal, parts)
        return terminal.file.getvalue()

    return shown


@pytest.fixture(scope="session")
def trial() -> Callable[..., Trial]:
    """Return a function that makes the record of a trial from the rates of its blocks."""
    return recorded


def recorded(loader: str, rates: list[float], **values) -> Trial:
    fields = {"peak_memory_bytes": 100, "consumer": "train", **values}
    cpu_s, wait = fields.pop("cpu_s", 1.0), fields.pop("wait", 0.1)
    gpus = fields.pop("gpus", [])
    blocks = [
        Block(
            round=round_index,
            seconds=2.0,
            images=round(rate * 2),
            wait_s=[wait],
            step_s=[1.9],
            cpu_s=cpu_s,
            disk_read_bytes=7,
            gpus=gpus,
        )
        for round_index, rate in enumerate(rates)
    ]
    return Trial(
        loader=loader,
        settings={},
        all_settings={},
        spec=SPEC,
        recipe={},
        images=10,
        blocks=blocks,
        **fields,
    )


class Screen:
    """What a terminal shows after some output: enough of xterm for plain lines drawn in place.

    Attributes:
        scrolled: the lines that have left the screen at the top.
    """

    def __init__(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        self.scrolled: list[str] = []
        self._cells = [[" "] * columns for _ in range(rows)]
        self._x = self._y = 0

    @property
    def lines(self) -> list[str]:
        """The lines of the screen without empty ones at the end."""
        return "\n".join("".join(line).rstrip() for line in self._cells).rstrip().split("\n")

    def feed(self, output: str) -> None:
        for control, text in re.findall(r"(\x1b\[[?\d;]*[A-Za-z])|([^\x1b]+)", output):
            if control:
                self._control(control[2:-1], control[-1])
            for char in text:
                self._put(char)

    def _put(self, char: str) -> None:
        if char == "\r":
            self._x = 0
        elif char == "\n":
            self._next_line()
        else:
            if self._x == self.columns:
                self._x = 0
                self._next_line()
            self._cells[self._y][self._x] = char
            self._x += 1

    def _next_line(self) -> None:
        self._y += 1
        if self._y == self.rows:
            self.scrolled.append("".join(self._cells.pop(0)).rstrip())
            self._cells.append([" "] * self.columns)
            self._y -= 1

    def _control(self, parameters: str, final: str) -> None:
        if final == "A":
            self._y = max(0, self._y - int(parameters or 1))
        elif final == "H":
            self._x = self._y = 0
        elif final in "JK":
            from_start = parameters == "2"
            below = range(self._y + 1, self.rows) if final == "J" else ()
            for y in range(self.rows) if from_start else (self._y, *below):
                start = self._x if y == self._y and not from_start else 0
                self._cells[y][start:] = [" "] * (self.columns - start)
        else:
            assert final in "mhl", f"unknown: {parameters}{final}"


class PseudoTerminal:
    """A pseudo-terminal; `file` is what a program writes to.

    Attributes:
        output: everything that was written so far.
    """

    def __init__(self, columns: int, rows: int, encoding: str = "utf-8") -> None:
        self._reading, writing = pty.openpty()
        self._encoding = encoding
        self.file = os.fdopen(writing, "w", encoding=encoding)
        self.output = ""
        self.resize(columns, rows)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def resize(self, columns: int, rows: int) -> None:
        self.columns, self.rows = columns, rows
        fcntl.ioctl(self._reading, termios.TIOCSWINSZ, struct.pack("4H", rows, columns, 0, 0))

    def console(self, **options) -> Terminal:
        return Terminal(file=self.file, **options)

    def screen(self) -> Screen:
        """Return what the terminal shows, by its present size."""
        screen = Screen(self.columns, self.rows)
        screen.feed(self.output)
        return screen

    def wait_for(self, *texts: str) -> Screen:
        """Return the first screen on which all texts stand."""
        deadline, known = time.monotonic() + PATIENCE_S, -1
        while True:
            if len(self.output) != known:
                known, screen = len(self.output), self.screen()
                if all(text in "\n".join(screen.lines) for text in texts):
                    return screen
            assert time.monotonic() < deadline, f"{texts} are not in {screen.lines}"
            time.sleep(0.02)

    def close(self) -> None:
        """Close the program's end, and read what is left."""
        self.file.close()
        self._thread.join()
        os.close(self._reading)

    def _read(self) -> None:
        decoder = codecs.getincrementaldecoder(self._encoding)(errors="replace")
        with suppress(OSError):  # EIO: every writer has closed it
            while data := os.read(self._reading, 65536):
                self.output += decoder.decode(data)


@pytest.fixture
def open_terminal() -> Iterator[Callable[..., PseudoTerminal]]:
    """Return a function that opens a pseudo-terminal of a size."""
    opened: list[PseudoTerminal] = []

    def open_one(columns: int, rows: int, encoding: str = "utf-8") -> PseudoTerminal:
        opened.append(PseudoTerminal(columns, rows, encoding))
        return opened[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TERM", "xterm-256color")
        yield open_one
    for terminal in opened:
        if not terminal.file.closed:
            terminal.close()


def recorded_events(trials: list[Trial], blocks: int) -> Iterator[TrialEvent]:
    """Repeat a record of a bench as the events of the run that wrote it.

    Args:
        blocks: number of blocks of each trial, before the winner was timed alone.
    """
    choices = [Choice(loader=one.loader, settings=one.settings) for one in trials]
    so_far = [one.model_copy(update={"blocks": [], "chosen_before": None}) for one in trials]
    done, total = 0, blocks * len(trials)

    def event(kind: EventKind, index: int, round_index: int) -> TrialEvent:
        return TrialEvent(kind, choices[index], done, total, index, so_far[index], round_index)

    for round_index in range(2 * blocks):
        for index, one in enumerate(trials):
            for block in (block for block in one.blocks if block.round == round_index):
                if round_index == 0:
                    yield event("starting", index, 0)
                    yield event("warm", index, 0)
                yield event("timing", index, round_index)
                update = {"blocks": [*so_far[index].blocks, block]}
                if round_index >= blocks:
                    update["chosen_before"] = one.chosen_before
                so_far[index] = so_far[index].model_copy(update=update)
                done += 1
                yield event("block", index, round_index)


@pytest.fixture(scope="session")
def as_events() -> Callable[..., Iterator[TrialEvent]]:
    """Return a function that repeats a record as the events of the run that wrote it."""
    return recorded_events
