"""Errors in a user's function: one line that names the place, and the traceback of their code."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from traceback import StackSummary, TracebackException

from feedbench.loaders.errors import LoaderError
from feedbench.loaders.own.function import OwnFunction, shown

_OURS = f"{Path(__file__).parents[2]}{os.sep}"
_FRAME = re.compile(
    r'^(?P<indent> *)File "(?P<file>.+?)", line (?P<line>\d+), in (?P<name>\S+)', re.MULTILINE
)
# What Torch says where a worker process has ended.
_ENDED = re.compile(
    r"DataLoader worker \(pid(?:\(s\))? (?P<pids>[\d, ]+)\) (?:is killed by signal: "
    r"(?P<signal>[^.]+)|exited unexpectedly(?: with exit code (?P<code>\d+))?)"
)
_SHARING = "/torch/multiprocessing/"
_REMEDY = "if memory ran out, use fewer workers, a smaller prefetch_factor, or a larger /dev/shm"
# TensorFlow's names of operations before and after a message.
_OPERATION = re.compile(r"^(\{\{.*?\}\} )+|( \[Op:.*)$")


class OwnError(LoaderError):
    """A user's function failed, or returned something that cannot be used.

    Attributes:
        details: the traceback of the user's code; empty if it raised nothing.
    """

    def __init__(self, text: str, details: str = "") -> None:
        super().__init__(text)
        self.details = details


def raised_by(function: OwnFunction, error: BaseException, when: str) -> OwnError:
    """The error of a function that raised another.

    Args:
        when: what was going on, such as "batch 3".
    """
    frames = _user_frames(function, error)
    place = _place(frames[-1]) if frames else f"{function.place}, in {function.function}"
    return OwnError(f"{place}: {_message(error)} ({when})", _traceback(function, error))


def _message(error: BaseException) -> str:
    """The type and the text of an error on one line, without the words of TensorFlow and Torch."""
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return f"out of memory: {type(error).__name__}"
    text = str(error)
    if ended := _ENDED.match(text):
        how = f" with exit code {ended['code']}" if ended["code"] else ""
        how = f" by a signal: {ended['signal'].strip()}" if ended["signal"] else how
        return f"worker process {ended['pids']} of its DataLoader ended{how}; {_REMEDY}"
    if _is_of_lost_worker(error):
        return f"a worker process of its DataLoader ended; {_REMEDY}"
    for frame in list(_FRAME.finditer(text))[-1:]:  # of another process, or of TensorFlow
        for line in text[frame.end() :].splitlines()[1:]:
            if line.strip() and len(line) - len(line.lstrip()) <= len(frame["indent"]):
                return line.strip()
    first = _OPERATION.sub("", next(iter(text.strip().splitlines()), "")).strip()
    return f"{type(error).__name__}: {first}" if first else type(error).__name__


def _is_of_lost_worker(error: BaseException) -> bool:
    """Whether the memory of a batch could not be had from the Torch process that made it."""
    frames = TracebackException.from_exception(error).stack
    is_broken = isinstance(error, ConnectionError | EOFError)
    return is_broken and any(_SHARING in frame.filename for frame in frames)


def _user_frames(function: OwnFunction, error: BaseException) -> list[tuple[str, int, str]]:
    """File, line and name of the frames in the user's folder, the innermost last."""
    summary = TracebackException.from_exception(error)
    frames = [(one.filename, one.lineno or 0, one.name) for one in summary.stack]
    for text in (str(error), *map(str, _causes(error))):  # of another process, or of TensorFlow
        found = _FRAME.finditer(text)
        frames += [(one["file"], int(one["line"]), one["name"]) for one in found]
    return [frame for frame in frames if is_users(function, frame[0])]


def _causes(error: BaseException) -> Iterator[BaseException]:
    while (cause := error.__cause__) is not None:
        yield cause
        error = cause


def is_users(function: OwnFunction, file: str) -> bool:
    """Whether a file is the user's own code, and not part of an installed package or Feedbench."""
    path = Path(file)
    if file.startswith(_OURS):  # the user's folder may be the one that Feedbench is in
        return False
    if "site-packages" in path.parts or file.startswith("<"):
        return path == function.file
    return path == function.file or path.is_relative_to(function.folder)


def _place(frame: tuple[str, int, str]) -> str:
    file, line, name = frame
    within = "" if name == "<module>" else f", in {name}"
    return f"{shown(Path(file))}, line {line}{within}"


def _traceback(function: OwnFunction, error: BaseException) -> str:
    """The traceback as Python prints it, without our own frames."""
    summary = TracebackException.from_exception(error)
    _cut(function, summary)
    return "".join(summary.format()).expandtabs().rstrip()  # TensorFlow's errors have tabs


def _cut(function: OwnFunction, summary: TracebackException) -> None:
    """Leave out our frames, and those of Python before the user's first."""
    frames = [one for one in summary.stack if not one.filename.startswith(_OURS)]
    users = [number for number, one in enumerate(frames) if is_users(function, one.filename)]
    summary.stack = StackSummary.from_list(frames[users[0] :] if users else [])
    for inner in (summary.__cause__, summary.__context__):
        if inner is not None:
            _cut(function, inner)
