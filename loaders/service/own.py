"""A service of a loader's own: a dispatcher in this process, and processes that work for it."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from time import monotonic
from typing import IO

from feedbench.loaders.closing import closed_on_error
from feedbench.loaders.errors import WorkerError, printable
from feedbench.loaders.service.address import Address
from feedbench.loaders.service.servers import Server, start_dispatcher

_MODULE = "feedbench.loaders.service.worker"
_START_S = 120.0  # for a worker to import TensorFlow on a busy machine
_END_S = 2.0
# A worker needs no GPU, and TensorFlow would reserve all of its memory.
_ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}


class OwnService:
    """A dispatcher and its worker processes.

    The processes stay in the group of this one, so that they are stopped and continued with it.

    Attributes:
        dispatcher: its address.
    """

    def __init__(self, workers: int) -> None:
        """Start it, and wait until all workers serve.

        Raises:
            WorkerError: a worker ended, or did not start.
        """
        self._server: Server | None = start_dispatcher(Address("127.0.0.1", 0))
        self.dispatcher = self._server.address
        # TensorFlow's notes of each start would stand in the midst of a training's output.
        self._log: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115  close closes it
        self._processes: list[subprocess.Popen[bytes]] = []
        with closed_on_error(self):
            self._processes += [_start(self.dispatcher, self._log) for _ in range(workers)]
            deadline = monotonic() + _START_S
            for process in self._processes:
                self._wait_until_ready(process, deadline)

    @property
    def workers(self) -> int:
        """The number of worker processes that run."""
        return sum(process.poll() is None for process in self._processes)

    def ended(self) -> list[str]:
        """How each worker process ended that runs no more."""
        return [_end_of(one) for one in self._processes if one.poll() is not None]

    def close(self) -> None:
        """End the processes, then the dispatcher; further calls do nothing."""
        processes, self._processes = self._processes, []
        for process in processes:
            assert process.stdin is not None
            with suppress(OSError):
                process.stdin.close()
        deadline = monotonic() + _END_S
        for process in processes:
            _end(process, deadline)
        if self._server is not None:
            self._server.stop()
            self._server = None
        self._log.close()

    def _wait_until_ready(self, process: subprocess.Popen[bytes], deadline: float) -> None:
        assert process.stdout is not None
        if not _is_readable(process.stdout, deadline):
            raise WorkerError(
                f"tf_data_service: worker process {process.pid} did not start in {_START_S:g} s"
            )
        if not process.stdout.readline():
            process.wait()
            self._log.seek(0)
            lines = self._log.read().decode(errors="replace").strip().splitlines()
            why = f": {printable(lines[-1])}" if lines else ""
            raise WorkerError(f"tf_data_service: {_end_of(process)} as it started{why}")


def _start(dispatcher: Address, log: IO[bytes]) -> subprocess.Popen[bytes]:
    is_main = threading.current_thread() is threading.main_thread()
    thread = "main" if is_main else "another"
    # Blocked, the worker inherits it: a Ctrl-C as it starts would print a traceback.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(
            [sys.executable, "-P", "-m", _MODULE, str(os.getpid()), str(dispatcher), thread],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            env={**os.environ, **_ENVIRONMENT},
        )
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _is_readable(pipe: IO[bytes], deadline: float) -> bool:
    return bool(select.select([pipe], [], [], max(0.0, deadline - monotonic()))[0])


def _end_of(process: subprocess.Popen[bytes]) -> str:
    code = process.returncode
    cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return f"worker process {process.pid} ended with {cause}"


def _end(process: subprocess.Popen[bytes], deadline: float) -> None:
    with suppress(subprocess.TimeoutExpired):
        process.wait(max(0.0, deadline - monotonic()))
    if process.poll() is None:
        process.kill()
        process.wait()
    assert process.stdout is not None
    process.stdout.close()
