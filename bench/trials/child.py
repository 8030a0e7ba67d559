"""The parent's end of a child process: start, ask, pause, continue, end, and why it died."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, time
from types import TracebackType
from typing import IO, Any, Self

from feedbench.bench.errors import ChildDied, TrialError
from feedbench.bench.meters.process import out_of_memory_kills
from feedbench.bench.signals import interrupts_deferred
from feedbench.bench.trials.messages import Failed, M, Message, Service, decode, encode

_GRACE_S = 10.0  # for a child to close its loader once its input has ended
_POLL_S = 0.5


class Child:
    """A running child, in a session of its own; leaving its `with` kills all of its process group.

    Attributes:
        errors: what it wrote to standard error, once it has ended; empty where that is in a log.
    """

    def __init__(
        self,
        service: Service,
        job: Message,
        log: Path | None = None,
        environment: dict[str, str] | None = None,
    ) -> None:
        """Start the child and send it its job.

        Args:
            log: what its standard error is appended to; None keeps it for `errors`.
            environment: variables that differ from `child_environment`.
        """
        self.errors = ""
        self._answers: tuple[type[Message], ...] = (*service.answers, Failed)
        self._log = log
        self._kills_before = out_of_memory_kills()
        self._stderr: IO[bytes] = log.open("ab") if log else tempfile.TemporaryFile()  # noqa: SIM115  kill closes it
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", service.module, str(os.getpid()), str(time())],
            env=child_environment() | (environment or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        self._lines: queue.Queue[str | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._killed = False
        self.send(job)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """Of the child and its process group."""
        return self._process.pid

    def send(self, message: Message) -> None:
        """Send a message; that the child has died shows in its answer."""
        assert self._process.stdin is not None
        with interrupts_deferred():  # pydantic would turn Ctrl-C into an error of the message
            line = encode(message)
        with suppress(BrokenPipeError):
            self._process.stdin.write(line)
            self._process.stdin.flush()

    def wait_for(
        self,
        kind: type[M],
        limit_s: float | None,
        phase: str,
        on_other: Callable[[Message], None] = lambda message: None,
    ) -> M:
        """The next answer of a kind.

        Args:
            limit_s: seconds that it may take; None without a limit.
            phase: what the child does meanwhile, for the error.
            on_other: called with each answer of another kind that comes before.

        Raises:
            TrialError: the child failed, died or took longer than the limit; it is killed.
        """
        deadline = None if limit_s is None else monotonic() + limit_s
        try:
            while not isinstance(message := self._next(deadline, phase), kind):
                if isinstance(message, Failed):
                    raise TrialError(message.reason)
                on_other(message)
        except (TimeoutError, subprocess.TimeoutExpired):
            self.kill()
            raise TrialError(
                f"time limit: {phase} was not done after {round(limit_s or 0, 1):g} s; raise "
                "--time-limit if it is only slow"
            ) from None
        except TrialError:
            self.kill()
            raise
        return message

    def ask(self, request: Message, kind: type[M], limit_s: float, phase: str) -> M:
        """Continue a paused child, send a request, wait for the answer of a kind, pause again.

        Raises:
            TrialError: as `wait_for`.
        """
        self._signal(signal.SIGCONT)
        self.send(request)
        answer = self.wait_for(kind, limit_s, phase)
        self.pause()
        return answer

    def pause(self) -> None:
        """Stop the process group.

        A paused child neither computes nor fills its buffers while another is timed, and its
        buffers are as full when it continues as they were in the middle of its work.
        """
        self._signal(signal.SIGSTOP)

    def terminate(self, patience_s: float) -> None:
        """Ask the child by SIGTERM to keep where it stands and end; wait so long for it."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(patience_s)

    def dismiss(self) -> None:
        """End the child's input, which ends its requests; wait for nothing."""
        if not self._killed:
            self._signal(signal.SIGCONT)
            self._close_input()

    def close(self) -> None:
        """End the child: it may close its loader first, but not for long."""
        self.dismiss()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        self.kill()

    def kill(self) -> None:
        """Kill the process group at once; nothing if that is done."""
        if self._killed:
            return
        self._killed = True
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._close_input()
        self._reader.join()
        with self._stderr:
            if self._log is None:
                self._stderr.seek(0)
                self.errors = self._stderr.read().decode(errors="replace")

    def _next(self, deadline: float | None, phase: str) -> Message:
        line = self._line(deadline)
        if line is None:
            raise self._death(self._process.wait(_left(deadline)), phase)
        try:
            return decode(line, self._answers)
        except ValueError:
            text = f"gave no valid answer in {phase}: {line.strip()[:80]!r}"
            raise TrialError(text + self._see_log) from None

    def _line(self, deadline: float | None) -> str | None:
        """The next line; None at the end of the pipe."""
        while True:
            left = _left(deadline)
            with suppress(queue.Empty):
                return self._lines.get(timeout=_POLL_S if left is None else min(_POLL_S, left))
            if left is not None and left <= _POLL_S:
                raise TimeoutError
            if self._process.poll() is not None:
                # What a dead child has forked may hold its pipe open.
                self._signal(signal.SIGKILL)

    def _death(self, code: int, phase: str) -> ChildDied:
        if code >= 0:
            return ChildDied(f"ended with exit code {code} in {phase}{self._see_log}")
        name = signal.Signals(-code).name
        if -code == signal.SIGKILL and out_of_memory_kills() > self._kills_before:
            return ChildDied(f"out of memory: the kernel ended it in {phase} ({name})")
        return ChildDied(f"crashed in {phase}: {name}{self._see_log}")

    @property
    def _see_log(self) -> str:
        return f"; see {self._log}" if self._log else ""

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            for line in answers:
                self._lines.put(line)
        self._lines.put(None)

    def _close_input(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def _left(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - monotonic())


def close_all(children: dict[Any, Child]) -> None:
    """End some children at once, so that only the slowest is waited for; empties the dict."""
    for child in children.values():
        child.dismiss()
    while children:
        children.popitem()[1].close()


def child_environment() -> dict[str, str]:
    """A child's: quiet, and with GPU memory taken as needed, since others are paused on it."""
    return {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        **os.environ,
    }
