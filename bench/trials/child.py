"""The parent's end of a trial's process: start, ask, freeze, thaw, end, and why it died."""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from time import monotonic, time
from typing import Any

from feedbench.bench.errors import TrialError
from feedbench.bench.meters.process import out_of_memory_kills

_GRACE_S = 10.0  # for a worker that is told to end


class Remote:
    """A running worker. Between blocks all of its process group is stopped.

    A stopped worker neither computes nor fills its buffers while another is timed, and its
    buffers are as full when it goes on as they were in the middle of its work.
    """

    def __init__(
        self, order: dict[str, Any], log: Path, module: str = "feedbench.bench.trials.worker"
    ) -> None:
        """Start the worker; its standard error goes to the log."""
        self._log = log
        self._kills_before = out_of_memory_kills()
        with log.open("ab") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-m", module, str(time())],
                env=worker_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                start_new_session=True,
            )
        self._answers: queue.Queue[str | None] = queue.Queue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()
        self._frozen = False
        self._say(order)

    @property
    def pid(self) -> int:
        """Of the worker and its process group."""
        return self._process.pid

    def await_warm(
        self, limit_s: float, on_sign: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        """Wait for the end of the warm-up, then freeze.

        Raises:
            TrialError: it failed, died, or took longer than the limit.
        """
        return self._await("warm", limit_s, "warm-up", on_sign)

    def time_block(self, seconds: float, limit_s: float, **more: Any) -> dict[str, Any]:
        """Thaw, time one block, freeze.

        Args:
            more: what else this worker is told of the block.

        Raises:
            TrialError: it failed, died, or took longer than the limit.
        """
        self._signal(signal.SIGCONT)
        self._say({"seconds": seconds, **more})
        return self._await("block", limit_s, "a block", lambda _: None)

    def dismiss(self) -> None:
        """Tell the worker to end, and wait for nothing."""
        if self._process.poll() is None:
            self._signal(signal.SIGCONT)
            self._close_input()

    def close(self) -> None:
        """End the worker: it may close its loader first, but not for long."""
        self.dismiss()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        self._kill()

    def _await(
        self, event: str, limit_s: float, phase: str, on_sign: Callable[[dict[str, Any]], None]
    ) -> dict[str, Any]:
        deadline = monotonic() + limit_s
        while True:
            try:
                line = self._answers.get(timeout=max(0.0, deadline - monotonic()))
            except queue.Empty:
                self._kill()
                raise TrialError(
                    f"time limit: {phase} was not done after {limit_s:.0f} s; raise "
                    "--time-limit if it only is slow"
                ) from None
            answer = json.loads(line) if line else self._death(phase)
            if answer["event"] == event:
                self._signal(signal.SIGSTOP)
                return answer
            if answer["event"] == "error":
                self._kill()
                raise TrialError(answer["reason"])
            on_sign(answer)

    def _death(self, phase: str) -> dict[str, Any]:
        code = self._process.wait()
        self._kill()
        if code >= 0:
            raise TrialError(f"ended with exit code {code} in {phase}; see {self._log}")
        name = signal.Signals(-code).name
        if -code == signal.SIGKILL and out_of_memory_kills() > self._kills_before:
            raise TrialError(f"out of memory: the kernel ended it in {phase} ({name})")
        raise TrialError(f"crashed in {phase}: {name}; see {self._log}")

    def _listen(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            for line in answers:
                self._answers.put(line)
        self._answers.put(None)

    def _say(self, order: dict[str, Any]) -> None:
        assert self._process.stdin is not None
        # A worker that has died is found out by the wait for its answer.
        with suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(order) + "\n")
            self._process.stdin.flush()

    def _close_input(self) -> None:
        assert self._process.stdin is not None
        with suppress(BrokenPipeError):
            self._process.stdin.close()

    def _kill(self) -> None:
        self._signal(signal.SIGKILL)
        self._process.wait()
        self._close_input()
        self._listener.join()

    def _signal(self, number: int) -> None:
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)


def close_all(live: dict[Any, Remote]) -> None:
    """End some workers at once, so that the slowest alone is waited for; empties the dict."""
    for remote in live.values():
        remote.dismiss()
    while live:
        live.popitem()[1].close()


def worker_environment() -> dict[str, str]:
    """The worker's: quiet, and with GPU memory taken as needed, since others are frozen on it."""
    return {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        **os.environ,
    }
