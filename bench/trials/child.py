"""The parent's side of a child process: starts, asks, pauses and ends it, and says why it died."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import partial
from pathlib import Path
from time import monotonic
from typing import IO, Any, Self

from feedbench.bench.errors import ChildDied, TrialError
from feedbench.bench.meters.gpu import gpu_environment
from feedbench.bench.meters.process import kill_all, out_of_memory_kills, outside_group
from feedbench.bench.signals import interrupts_deferred
from feedbench.bench.trials.protocol import Failed, M, Message, Service, decode, encode
from feedbench.bench.trials.silence import Silence, silence_line
from feedbench.bench.trials.temporary import TemporaryFolder
from feedbench.bench.trials.whereabouts import whereabouts
from feedbench.loaders import OwnFunction

_GRACE_S = 3.0  # for children to close their loaders after their input was closed
_POLL_S = 0.5


class Child:
    """A running child in its own session; leaving the `with` block kills its process group.

    Attributes:
        errors: the child's standard error, available once it has ended; empty if there is a log.
        own: the user's function that it calls, to say where that hangs; None if it calls none.
    """

    def __init__(
        self,
        service: Service,
        job: Message,
        log: Path | None = None,
        environment: dict[str, str] | None = None,
        own: OwnFunction | None = None,
    ) -> None:
        """Start the child and send it its job.

        Args:
            service: what the child runs.
            job: its first message.
            log: file to append its standard error to; None keeps it for `errors`.
            environment: variables that override those of `child_environment`.
            own: as the attribute.
        """
        self.errors = ""
        self._answers: tuple[type[Message], ...] = (*service.answers, Failed)
        self._log = log
        self.own = own
        self._kills_before = out_of_memory_kills()
        self._stderr: IO[bytes] = log.open("ab") if log else tempfile.TemporaryFile()  # noqa: SIM115  kill closes it
        # Libraries leave files behind if their process is killed: they go with this folder.
        self._temporary = TemporaryFolder()
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", service.module, str(os.getpid()), str(monotonic())],
            env=child_environment() | {"TMPDIR": str(self._temporary.path)} | (environment or {}),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,
        )
        # Unlike queue.Queue, it has no Python lock that a second signal could leave unlocked.
        self._lines: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self._killed = False
        self.send(job)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def pid(self) -> int:
        """ID of the child and of its process group."""
        return self._process.pid

    def send(self, message: Message) -> None:
        """Send a message; if the child has died, waiting for its answer raises the error."""
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
        *,
        expected_s: float = 0.0,
        pause: bool = False,
    ) -> M:
        """Wait for the next answer of one kind and return it.

        Args:
            kind: class of the answer.
            limit_s: time limit in seconds; None for no limit.
            phase: what the child is doing, for the error message.
            on_other: called with each answer of another kind that arrives before.
            expected_s: seconds that the answer takes if all is well; a user's function that takes
                much longer is reported on standard error.
            pause: pause the child as soon as it answers, which must be by one message.

        Raises:
            TrialError: the child failed, died or exceeded the limit; it has been killed.
        """
        deadline = None if limit_s is None else monotonic() + limit_s
        silence = Silence(expected_s)
        tell = partial(self._tell, silence, phase)
        try:
            while not isinstance(message := self._next(deadline, phase, tell, pause=pause), kind):
                if isinstance(message, Failed):
                    raise TrialError(message.reason, message.details)
                silence.restart()
                on_other(message)
        except (TimeoutError, subprocess.TimeoutExpired):
            place = f"; it is at {found}" if (found := self._place()) else ""
            self.kill()
            limit = f"{round(limit_s or 0, 1):g} s"
            raise TrialError(
                f"time limit: {phase} did not finish within {limit}{place}{self._see_log}"
            ) from None
        except TrialError:
            self.kill()
            raise
        return message

    def ask(
        self,
        request: Message,
        kind: type[M],
        limit_s: float,
        phase: str,
        expected_s: float = 0.0,
    ) -> M:
        """Continue a paused child, send a request, wait for the answer, and pause the child again.

        The arguments are those of `wait_for`.

        Raises:
            TrialError: the child failed, died or exceeded the limit; it has been killed.
        """
        self.resume(request)
        return self.wait_for(kind, limit_s, phase, expected_s=expected_s, pause=True)

    def resume(self, request: Message) -> None:
        """Continue a paused child and send it a request."""
        self._signal(signal.SIGCONT)
        self.send(request)

    def pause(self) -> None:
        """Stop the process group by SIGSTOP; return once the child stands still or has died.

        A paused child neither computes nor prefetches while another is timed, and when it
        continues, its buffers are as full as they were.
        """
        self._signal(signal.SIGSTOP)
        if self._process.poll() is None:
            os.waitid(os.P_PID, self.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)

    def terminate(self, timeout_s: float) -> None:
        """Ask the child by SIGTERM to save its state and exit; wait up to `timeout_s` for that."""
        self._process.terminate()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(timeout_s)

    def request_exit(self) -> None:
        """Close the child's input, after which it exits; do not wait for that."""
        if not self._killed:
            self._signal(signal.SIGCONT)
            self._close_input()

    def close(self, grace_s: float = _GRACE_S) -> None:
        """End the child; it has a few seconds to close its loader."""
        self.request_exit()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(grace_s)
        self.kill()

    def kill(self) -> None:
        """Kill the process group, and what has left it, at once; nothing the second time."""
        if self._killed:
            return
        self._killed = True
        # Of one that has ended, whose number may be another's by now, it has ended them itself.
        outside = outside_group(self.pid) if self._process.poll() is None else []
        self._signal(signal.SIGKILL)
        kill_all(outside)
        self._process.wait()
        self._close_input()
        self._reader.join()
        self._temporary.remove()
        with self._stderr:
            if self._log is None:
                self._stderr.seek(0)
                self.errors = self._stderr.read().decode(errors="replace")

    def _next(
        self, deadline: float | None, phase: str, tell: Callable[[], None], *, pause: bool
    ) -> Message:
        line = self._line(deadline, tell)
        if line is None:
            raise self._death(self._process.wait(_remaining(deadline)), phase)
        if pause:
            self.pause()
        try:
            return decode(line, self._answers)
        except ValueError:
            text = f"invalid answer in {phase}: {line.strip()[:80]!r}"
            raise TrialError(text + self._see_log) from None

    def _line(self, deadline: float | None, tell: Callable[[], None]) -> str | None:
        """Return the next line; None at the end of the pipe."""
        while True:
            remaining = _remaining(deadline)
            with suppress(queue.Empty):
                return self._lines.get(
                    timeout=_POLL_S if remaining is None else min(_POLL_S, remaining)
                )
            if remaining is not None and remaining <= _POLL_S:
                raise TimeoutError
            if self._process.poll() is not None:
                # Processes that a dead child forked may keep its pipe open.
                self._signal(signal.SIGKILL)
            tell()

    def _tell(self, silence: Silence, phase: str) -> None:
        """Say where a user's function stands, if it has given nothing for long."""
        if (own := self.own) is not None:
            what = f"{own.function} ({phase})"
            silence.tell(lambda seconds: silence_line(what, seconds, self._place()))

    def _death(self, code: int, phase: str) -> ChildDied:
        if code >= 0:
            return ChildDied(f"ended with exit code {code} in {phase}{self._see_log}")
        name = signal.Signals(-code).name
        if -code == signal.SIGKILL and out_of_memory_kills() > self._kills_before:
            return ChildDied(f"out of memory: the kernel killed it in {phase} ({name})")
        return ChildDied(f"crashed in {phase}: {name}{self._see_log}")

    def _place(self) -> str:
        """Return where the child stands in the user's code; empty if in none."""
        if self._log is None or self.own is None:
            return ""
        return whereabouts(self.pid, self._log, self.own.folder)

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


def _remaining(deadline: float | None) -> float | None:
    return None if deadline is None else max(0.0, deadline - monotonic())


def close_all(children: dict[Any, Child], only: Iterable[Any] | None = None) -> None:
    """Close children in parallel; each leaves the dict once it has ended, even after Ctrl-C.

    Args:
        children: by any key.
        only: the keys of those to close; None for all.
    """
    keys = [key for key in dict.fromkeys(children if only is None else only) if key in children]
    deadline = monotonic() + _GRACE_S
    for key in keys:
        children[key].request_exit()
    for key in keys:
        children[key].close(_remaining(deadline) or 0.0)
        del children[key]


def child_environment() -> dict[str, str]:
    """Return the environment of a child.

    TensorFlow logs only errors, and memory of a single GPU is allocated as needed, because paused
    children hold some of it. Variables that the user has set take precedence.
    """
    return {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        **os.environ,
        **gpu_environment(),
    }
