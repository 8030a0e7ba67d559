"""Probes files on all cores; a file that crashes or hangs a decoder costs only itself."""

from __future__ import annotations

import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from time import monotonic

from feedbench.loaders.address import stamp_of
from feedbench.loaders.audit.memory import TOO_LITTLE, limit_text, too_little_text
from feedbench.loaders.audit.messages import MAX_BYTES, Facts, File, answer_of, files_as_bytes
from feedbench.loaders.audit.probe import REFUSED, ProbeLimits
from feedbench.loaders.errors import SourceError, WorkerError
from feedbench.loaders.manifest import AUDIT

_GROUP = 16  # files per message: one message per file costs a fifth of the rate
_AHEAD = 2  # groups sent to each process, so that it never waits for the next
_POLL_S = 0.25
_NO_STAMP: Facts = {"bytes": 0, "modified_ns": 0}  # no file has it
_MOST_UNEXPLAINED = 5  # consecutive deaths that no file explains; after more, the scan ends


def probe_all(
    files: Iterable[File], limits: ProbeLimits, processes: int, log: Path
) -> Generator[tuple[int, Facts], None, None]:
    """Each file's number and facts, in the order in which they become available.

    Args:
        files: a number and a path each.
        log: file for what decoders and libraries write to standard error.

    Raises:
        SourceError: the processes cannot be started.
        WorkerError: they were killed, or the user's limit leaves them too little memory.
    """
    pool = _Pool(iter(files), limits, processes, log)
    try:
        yield from pool.results()
    finally:
        pool.close()


class _Slot:
    """A process's socket, and the groups of files that it has not answered yet.

    Attributes:
        since: when the process began to probe the first group that waits.
        killed_for: the group whose time limit it was killed for.
        probing: the process that probes; None while it starts or fetches objects: no file is late.
    """

    def __init__(self) -> None:
        self.socket, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.waiting: deque[list[File]] = deque()
        self.since = monotonic()
        self.killed_for: list[File] | None = None
        self.probing: int | None = None

    def send(self, group: list[File]) -> None:
        if not self.waiting:
            self.since = monotonic()
        self.waiting.append(group)
        with suppress(ConnectionRefusedError):  # the processes have ended: their control says why
            self.socket.send(files_as_bytes(group))


class _Pool:
    _unexplained = 0  # deaths since the last answer

    def __init__(
        self, files: Iterator[File], limits: ProbeLimits, processes: int, log: Path
    ) -> None:
        self._files = files
        self._retries: list[list[File]] = []
        self._limits = limits
        self._slots = [_Slot() for _ in range(processes)]
        self._control, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._reader = self._control.makefile("rb")
        self._selector = selectors.DefaultSelector()
        for slot in self._slots:
            self._selector.register(slot.socket, selectors.EVENT_READ, slot)
        self._selector.register(self._control, selectors.EVENT_READ)
        ends = [far, *(slot.far for slot in self._slots)]
        self._process = _start(limits, ends, log)
        for end in ends:
            end.close()
        self._log = log

    def results(self) -> Iterator[tuple[int, Facts]]:
        for slot in self._slots:
            self._feed(slot)
        while any(slot.waiting for slot in self._slots):
            for key, _ in self._selector.select(_POLL_S):
                if key.data is None:
                    yield from self._read_control()
                else:
                    yield from self._receive(key.data)
            self._kill_late()

    def close(self) -> None:
        """End the processes: they exit when their control socket closes."""
        self._selector.close()
        self._reader.close()
        self._control.close()
        self._process.wait()
        for slot in self._slots:
            slot.socket.close()

    def _feed(self, slot: _Slot) -> None:
        while len(slot.waiting) < _AHEAD:
            group = self._retries.pop() if self._retries else list(islice(self._files, _GROUP))
            if not group:
                return
            slot.send(group)

    def _receive(self, slot: _Slot) -> Iterator[tuple[int, Facts]]:
        while True:
            try:
                answer = answer_of(slot.socket.recv(MAX_BYTES))
            except BlockingIOError:
                return
            if isinstance(answer, int):
                slot.probing, slot.since = answer, monotonic()
                continue
            numbers = [number for number, _ in answer]
            groups = [group for group in slot.waiting if [n for n, _ in group] == numbers]
            if groups:
                self._unexplained = 0
                slot.probing = None
                slot.waiting.remove(groups[0])
                self._feed(slot)
                yield from answer

    def _read_control(self) -> Iterator[tuple[int, Facts]]:
        """Read a message of the process that forks the others: one of them died, or itself did.

        Raises:
            SourceError: the processes cannot be started.
            WorkerError: they were killed, or the user's limit leaves them too little memory.
        """
        line = self._reader.readline()
        if not line:
            raise self._ended(self._process.wait())
        message = json.loads(line)
        if message["event"] == "died":
            slot = self._slots[message["slot"]]
            yield from self._receive(slot)
            if message["status"] == TOO_LITTLE:
                raise WorkerError(too_little_text(self._limits))
            has_begun = slot.probing is not None
            if slot.probing == message["process"]:  # else the next one may have said that it does
                slot.probing = None
            self._note_death(slot, message["status"], has_begun=has_begun)
            if has_begun:
                yield from self._attribute_crash(slot, message["status"])
            elif slot.waiting:
                self._retries.append(slot.waiting.popleft())
                self._feed(slot)

    def _note_death(self, slot: _Slot, status: int, *, has_begun: bool) -> None:
        """Count a death that no file explains.

        Args:
            has_begun: whether it probed a file.

        Raises:
            SourceError: too many processes ended before they had begun.
            WorkerError: too many were killed.
        """
        is_crash = has_begun and (status != -signal.SIGKILL or slot.killed_for is not None)
        if is_crash or not slot.waiting:
            return
        self._unexplained += 1
        if self._unexplained > _MOST_UNEXPLAINED:
            raise self._ended(status)

    def _ended(self, code: int) -> SourceError | WorkerError:
        if code >= 0:
            return SourceError(
                f"the scan's processes ended with exit code {code}; see {self._log}{limit_text()}"
            )
        return WorkerError(
            f"the scan's processes were ended by {signal.Signals(-code).name}, as the system does "
            "when memory runs out; the files read so far are saved; repeat the command to resume"
            f"{limit_text()}"
        )

    def _attribute_crash(self, slot: _Slot, status: int) -> Iterator[tuple[int, Facts]]:
        """Find the file that a process died of; the next process continues with the others."""
        killed_for, slot.killed_for = slot.killed_for, None
        if not slot.waiting:
            return
        group = slot.waiting.popleft()
        if killed_for is not None and killed_for is not group:
            # The process had finished the group that took too long, and started this one.
            self._retries.append(group)
        elif len(group) > 1:
            # Each file alone, with the full time limit, shows which of them it was.
            self._retries += [[file] for file in reversed(group)]
        else:
            ((number, path),) = group
            facts = _crash_facts(path, self._reason(killed_for is not None, status))
            if killed_for is None and status == -signal.SIGKILL:
                facts.update(_NO_STAMP)  # perhaps memory ran out: the next scan reads it again
            yield number, facts
        self._feed(slot)

    def _reason(self, late: bool, status: int) -> str:
        if late:
            return f"{REFUSED}not done within the limit of {self._limits.seconds:g} s"
        if status == -signal.SIGKILL:
            return f"{REFUSED}its process was killed, as the system does when memory runs out"
        cause = signal.Signals(-status).name if status < 0 else f"exit code {status}"
        return f"a decoder crashed on it ({cause})"

    def _kill_late(self) -> None:
        now = monotonic()
        for slot in self._slots:
            late = now - slot.since > self._limits.seconds
            if slot.probing and slot.waiting and late and slot.killed_for is None:
                slot.killed_for = slot.waiting[0]
                self._control.sendall(json.dumps({"kill": slot.probing}).encode() + b"\n")


def _crash_facts(path: bytes, reason: str) -> Facts:
    """The facts of a file that a process died of."""
    facts: Facts = dict.fromkeys(AUDIT.names)
    try:
        facts["bytes"], facts["modified_ns"] = stamp_of(path)
    except OSError:
        facts.update(_NO_STAMP)
    facts.update(format="", pillow=reason, tensorflow=reason)
    return facts


def _start(limits: ProbeLimits, ends: list[socket.socket], log: Path) -> subprocess.Popen[bytes]:
    numbers = [end.fileno() for end in ends]
    command = [
        sys.executable,
        "-P",
        "-m",
        "feedbench.loaders.audit.worker",
        json.dumps(asdict(limits)),
    ]
    with log.open("ab") as errors:
        return subprocess.Popen(
            [*command, *map(str, numbers)],
            pass_fds=numbers,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=errors,
            stderr=errors,
            start_new_session=True,
        )


def _environment() -> dict[str, str]:
    """Without a GPU: decoding needs none, and a training may need all of its memory."""
    return {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "-1",
    }
