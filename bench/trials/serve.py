"""The child's side of its pipes: reads one job, sends answers, and reports why it failed."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from io import TextIOWrapper
from typing import TextIO

from feedbench.bench.errors import BenchError
from feedbench.bench.meters.process import kill_all, outside_group
from feedbench.bench.trials.protocol import Failed, M, Message, decode, encode
from feedbench.bench.trials.whereabouts import write_on_signal
from feedbench.loaders import LoaderError, printable
from feedbench.trainer import TrainerError

_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Channel:
    """The connection to the parent.

    Attributes:
        requests_from: stream of messages from the parent.
        answers: stream of messages to the parent.
        started: when the parent started this process, in seconds of `time.monotonic`, which all
            processes share and no change of the clock affects.
    """

    requests_from: TextIO
    answers: TextIO
    started: float

    def answer(self, message: Message) -> None:
        """Send a message to the parent."""
        self.answers.write(encode(message))
        self.answers.flush()

    def requests(self, kind: type[M]) -> Iterator[M]:
        """Yield the parent's requests until it closes the pipe."""
        for line in self.requests_from:
            yield decode(line, (kind,))


def serve(job_kind: type[M], handle: Callable[[M, Channel], None]) -> None:
    """Read the job and handle it; on an exception, send `Failed` and exit with code 1."""
    parent, started = sys.argv[1:]
    requests, answers = _take_streams()
    write_on_signal()
    _die_with_parent(int(parent))
    channel = Channel(requests, answers, float(started))
    line = requests.readline()
    try:
        handle(decode(line, (job_kind,)), channel)
    except Exception as error:
        details = getattr(error, "details", "")
        with suppress(OSError):  # the log is on a full disk
            if details:
                sys.stderr.write(f"{details}\n")
            elif not _is_user_error(error):
                traceback.print_exc()
        channel.answer(Failed(reason=printable(_failure_reason(error)), details=details))
        sys.exit(1)
    finally:
        kill_all(outside_group(os.getpid()))  # the parent ends the others with this group


def _failure_reason(error: BaseException) -> str:
    """Return one line that says why a job failed."""
    if _is_user_error(error):
        return str(error)
    text = (str(error).strip().splitlines() or [""])[0]
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":
        return f"out of memory: {text}" if text else "out of memory"
    return f"{type(error).__name__}: {text}"


def _is_user_error(error: BaseException) -> bool:
    return isinstance(error, BenchError | LoaderError | TrainerError)


def _take_streams() -> tuple[TextIO, TextIO]:
    """Reserve standard input and output for the parent.

    What a user's code prints goes to standard error, and its processes read nothing.
    """
    requests = os.fdopen(os.dup(0), encoding="utf-8")
    answers = os.fdopen(os.dup(1), "w", encoding="ascii")
    os.dup2(2, 1)
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    if isinstance(sys.stdout, TextIOWrapper):  # so that no line is lost when the process is killed
        sys.stdout.reconfigure(line_buffering=True)
    return requests, answers


def _die_with_parent(parent: int) -> None:
    """Have Linux kill this process when its parent dies, even while it is stopped."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # the parent died before prctl took effect
        sys.exit(1)
