"""The workers of a training stay in touch: signs of life, messages, and an end for all."""

from __future__ import annotations

import queue
import threading
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, Self

from feedbench.bench.cluster.hosts import Cluster
from feedbench.bench.cluster.wire import Message, NotFeedbench, Wire
from feedbench.bench.errors import PeerLost

Say = Callable[[str, int], None]
_ALIVE, _ENDED, _STOPPED, _ASKED, _BYE = "alive", "ended", "stopped", "asked to stop", "bye"
_SIGNS = 5  # of life within the longest silence
_GRACE_S = 5.0  # for a training to end by itself: a step that waits for a lost worker never does
_POLL_S = 0.1


class Session:
    """This worker's connections, inside a `with`; leaving it by an error ends all workers.

    The chief is connected with every worker, and each worker with the chief alone. A worker that
    is lost ends the whole training: its part of each step is missing.
    """

    def __init__(
        self,
        cluster: Cluster,
        wires: dict[int, Wire],
        end_at_once: Say,
        on_sign: Callable[[Session], None] = lambda session: None,
    ) -> None:
        """Prepare the session.

        Args:
            wires: connections by worker, from `meet`.
            end_at_once: called with a line and an exit code if this process must end and its main
                thread does not, since it waits for a worker that is lost.
            on_sign: called on another thread with each sign of life, also while the main thread
                waits for the step of another worker.
        """
        self.cluster = cluster
        self._wires = wires
        self._end_at_once = end_at_once
        self._on_sign = on_sign
        self._inbox: dict[str, queue.SimpleQueue[tuple[int, Message]]] = defaultdict(
            queue.SimpleQueue
        )
        self._over = threading.Event()
        self._ending = threading.Lock()
        self._end: tuple[str, int] | None = None
        self._left: set[int] = set()
        self._is_asked = False
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        jobs: list[Callable[[], None]] = [self._sign]
        jobs += [partial(self._tell_alive, worker) for worker in self._wires]
        jobs += [partial(self._listen, worker) for worker in self._wires]
        self._threads = [threading.Thread(target=job, daemon=True) for job in jobs]
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: Any
    ) -> None:
        self._over.set()
        if kind is not None and self._end is None:
            self._send_all(Message(_ENDED, {"line": f"{self._name} {_why(kind, error)}"}))
        elif kind is None:
            self._send_all(Message(_BYE))
        for wire in self._wires.values():
            wire.close()
        for thread in self._threads:
            thread.join()

    @property
    def _name(self) -> str:
        return self.cluster.name(self.cluster.worker)

    def check(self) -> None:
        """Return if all workers are there.

        Raises:
            PeerLost: one is not, or the chief has stopped the training.
        """
        if self._end is not None:
            raise PeerLost(*self._end)

    @property
    def is_asked_to_stop(self) -> bool:
        """Whether a worker has asked the chief to stop."""
        return self._is_asked

    def ask_to_stop(self) -> None:
        """Ask the chief, which alone can save a checkpoint, to stop the training."""
        if not self._is_asked:
            self._is_asked = True
            self._send_all(Message(_ASKED))

    def stopped(self, line: str) -> None:
        """Have the other workers end: the training was stopped, and can be resumed."""
        self._over.set()
        self._end = line, 0
        self._send_all(Message(_STOPPED, {"line": line}))

    def tell(self, kind: str, values: dict[str, Any], data: bytes = b"") -> None:
        """Send the chief's message to all workers, or a worker's to the chief."""
        self._send_all(Message(kind, values, data))

    def waiting(self, kind: str) -> list[Message]:
        """Return the messages of a kind that have arrived and were not yet taken."""
        box, found = self._inbox[kind], []
        with suppress(queue.Empty):
            while True:
                found.append(box.get_nowait()[1])
        return found

    def from_each(self, kind: str) -> dict[int, Message]:
        """Wait for a message of a kind from every connected worker.

        Raises:
            PeerLost: one is lost before it has sent its own.
        """
        found: dict[int, Message] = {}
        while len(found) < len(self._wires):
            try:
                worker, message = self._inbox[kind].get(timeout=_POLL_S)
            except queue.Empty:
                self.check()
            else:
                found[worker] = message
        return found

    def lost_soon(self, error: str, *, is_of_network: bool) -> None:
        """Wait for the news that explains an error of TensorFlow.

        Args:
            error: its text.
            is_of_network: whether it says that a worker cannot be reached; this is waited for
                until the longest silence is over.

        Raises:
            PeerLost: a worker is lost, or must be.
        """
        patience_s = self.cluster.waits.silence_s if is_of_network else 0.0
        deadline = monotonic() + patience_s + _GRACE_S
        while monotonic() < deadline:
            self.check()
            self._over.wait(_POLL_S)
        if is_of_network:
            raise PeerLost(f"TensorFlow cannot reach a worker any more: {error}")

    def fail(self, line: str) -> None:
        """End this process, which cannot end by itself any more, and with it all others.

        Args:
            line: why; news of a lost worker, which explains it, comes before it.
        """
        with suppress(PeerLost):
            self.lost_soon(line, is_of_network=False)
        self._over.set()
        end = self._end or (line, 1)
        self._send_all(Message(_ENDED, {"line": end[0]}))
        self._end_at_once(*end)

    def farewell(self, why: str) -> None:
        """Tell the others why this process ends, which its main thread does not do.

        Args:
            why: in words that follow its name.
        """
        self._over.set()
        if self._end is None:
            self._send_all(Message(_ENDED, {"line": f"{self._name} {why}"}))

    def _send_all(self, message: Message) -> None:
        for worker in self._wires:
            self._send(worker, message)

    def _send(self, worker: int, message: Message) -> None:
        if worker not in self._left:
            with suppress(OSError):  # lost: the thread that listens to this worker reports it
                self._wires[worker].send(message)

    def _tell_alive(self, worker: int) -> None:
        """Send signs of life; not by the thread for another worker, which may wait for minutes.

        Weights that are on their way to a worker over a slow network hold up what follows them.
        """
        while not self._over.wait(self._sign_s):
            self._send(worker, Message(_ALIVE))

    def _sign(self) -> None:
        while not self._over.wait(self._sign_s):
            self._on_sign(self)

    @property
    def _sign_s(self) -> float:
        return self.cluster.waits.silence_s / _SIGNS

    def _listen(self, worker: int) -> None:
        """Take in what one worker sends, until it leaves or is lost."""
        while True:
            try:
                message = self._wires[worker].receive(self.cluster.waits.silence_s)
            except TimeoutError:
                silence = f"no sign of life for {self.cluster.waits.silence_s:g} s"
                return self._lose(worker, f"{self.cluster.name(worker)} is lost: {silence}")
            except (OSError, NotFeedbench, ValueError):
                return self._lose(worker, f"{self.cluster.name(worker)} has ended or was killed")
            if message.kind == _BYE:
                self._left.add(worker)
                return None
            self._take(worker, message)

    def _take(self, worker: int, message: Message) -> None:
        if message.kind == _ENDED:
            self._lose(worker, message.values["line"])
        elif message.kind == _STOPPED:
            self._finish(message.values["line"], 0)
        elif message.kind == _ASKED:
            self._is_asked = True
        elif message.kind != _ALIVE:
            self._inbox[message.kind].put((worker, message))

    def _lose(self, worker: int, line: str) -> None:
        """End the training of all others, with a line that says who is to blame."""
        if self._over.is_set():
            return
        self._left.add(worker)
        self._send_all(Message(_ENDED, {"line": line}))
        self._finish(line, 1)

    def _finish(self, line: str, code: int) -> None:
        with self._ending:
            if self._end is not None:
                return
            self._end = line, code
        threading.Thread(target=self._end_if_stuck, daemon=True).start()

    def _end_if_stuck(self) -> None:
        if not self._over.wait(_GRACE_S) and self._end is not None:
            self._end_at_once(*self._end)


def _why(kind: type[BaseException], error: BaseException | None) -> str:
    """Return why a worker ends, in words that follow its name."""
    if issubclass(kind, KeyboardInterrupt):
        return "was interrupted"
    return "ended: " + (str(error).partition("\n")[0] or kind.__name__)
