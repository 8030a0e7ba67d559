"""Probes files on all cores; one that crashes a decoder, or hangs in it, costs itself alone."""

from __future__ import annotations

import json
import os
import pickle
import selectors
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from time import monotonic

from feedbench.loaders.audit.probe import MESSAGE_BYTES, REFUSED, Facts, Limits
from feedbench.loaders.errors import SourceError
from feedbench.loaders.manifest import AUDIT

File = tuple[int, bytes]
_GROUP = 16  # files that are sent and answered together: a message each costs a fifth of the rate
_AHEAD = 2  # groups at a process, so that it never waits for the next
_LOOK_S = 0.25


def probe_all(
    files: Iterable[File], limits: Limits, processes: int, log: Path
) -> Generator[tuple[int, Facts], None, None]:
    """The facts of each file, as they come, with the number that it was given.

    Args:
        files: a number and a path each.
        log: what decoders and libraries write to standard error.

    Raises:
        SourceError: the processes cannot be started.
    """
    pool = _Pool(iter(files), limits, processes, log)
    try:
        yield from pool.results()
    finally:
        pool.close()


class _Slot:
    """One process's end of the line, and the groups of files that it has not answered for."""

    def __init__(self) -> None:
        self.line, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.line.setblocking(False)
        self.waiting: deque[list[File]] = deque()
        self.since = monotonic()
        self.killed: list[File] | None = None
        self.warm = False  # before its process says so, no file can be late

    def send(self, group: list[File]) -> None:
        if not self.waiting:
            self.since = monotonic()
        self.waiting.append(group)
        self.line.send(pickle.dumps(group))


class _Pool:
    def __init__(self, files: Iterator[File], limits: Limits, processes: int, log: Path) -> None:
        self._files = files
        self._again: list[list[File]] = []
        self._limits = limits
        self._slots = [_Slot() for _ in range(processes)]
        self._control, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        self._reader = self._control.makefile("rb")
        self._selector = selectors.DefaultSelector()
        for slot in self._slots:
            self._selector.register(slot.line, selectors.EVENT_READ, slot)
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
            for key, _ in self._selector.select(_LOOK_S):
                if key.data is None:
                    yield from self._hear()
                else:
                    yield from self._take(key.data)
            self._end_late()

    def close(self) -> None:
        """End the processes: they die when their control line closes."""
        self._selector.close()
        self._reader.close()
        self._control.close()
        self._process.wait()
        for slot in self._slots:
            slot.line.close()

    def _feed(self, slot: _Slot) -> None:
        while len(slot.waiting) < _AHEAD:
            group = self._again.pop() if self._again else list(islice(self._files, _GROUP))
            if not group:
                return
            slot.send(group)

    def _take(self, slot: _Slot) -> Iterator[tuple[int, Facts]]:
        while True:
            try:
                results = pickle.loads(slot.line.recv(MESSAGE_BYTES))
            except BlockingIOError:
                return
            if not results:
                slot.warm, slot.since = True, monotonic()
                continue
            numbers = [number for number, _ in results]
            known = [group for group in slot.waiting if [n for n, _ in group] == numbers]
            if known:
                slot.since = monotonic()
                slot.waiting.remove(known[0])
                self._feed(slot)
                yield from results

    def _hear(self) -> Iterator[tuple[int, Facts]]:
        """News of the process that forks the others: one of them died, or itself did."""
        line = self._reader.readline()
        if not line:
            code = self._process.wait()
            raise SourceError(f"the audit's processes ended with exit code {code}; see {self._log}")
        news = json.loads(line)
        if news["event"] == "died":
            slot = self._slots[news["slot"]]
            yield from self._take(slot)
            yield from self._blame(slot, news["status"])

    def _blame(self, slot: _Slot, status: int) -> Iterator[tuple[int, Facts]]:
        """Find the file at which a process died; the next process goes on with the others."""
        killed, slot.killed, slot.warm = slot.killed, None, False
        if not slot.waiting:
            return
        group = slot.waiting.popleft()
        if killed is not None and killed is not group:
            # It had finished the group that took too long, and begun on this one.
            self._again.append(group)
        elif len(group) > 1:
            # Each by itself, with all of the time: it will be seen which of them it was.
            self._again += [[file] for file in reversed(group)]
        else:
            ((number, path),) = group
            yield number, _lost(path, self._words(killed is not None, status))
        self._feed(slot)

    def _words(self, late: bool, status: int) -> str:
        if late:
            return f"{REFUSED}not done after {self._limits.seconds:g} s, the limit"
        how = signal.Signals(-status).name if status < 0 else f"exit code {status}"
        return f"a decoder crashed on it ({how})"

    def _end_late(self) -> None:
        now = monotonic()
        for index, slot in enumerate(self._slots):
            late = now - slot.since > self._limits.seconds
            if slot.warm and slot.waiting and late and slot.killed is None:
                slot.killed = slot.waiting[0]
                self._control.sendall(json.dumps({"kill": index}).encode())


def _lost(path: bytes, words: str) -> Facts:
    """What is known of a file that took its process with it."""
    facts: Facts = dict.fromkeys(AUDIT.names)
    try:
        about = os.stat(path)
        facts.update(bytes=about.st_size, modified_ns=about.st_mtime_ns)
    except OSError:
        facts.update(bytes=0, modified_ns=0)
    facts.update(format="", pillow=words, tensorflow=words)
    return facts


def _start(limits: Limits, ends: list[socket.socket], log: Path) -> subprocess.Popen[bytes]:
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
    """Without a GPU: decoding needs none, and a training beside may need all of its memory."""
    return {
        "TF_CPP_MIN_LOG_LEVEL": "2",
        **os.environ,
        "CUDA_VISIBLE_DEVICES": "-1",
    }
