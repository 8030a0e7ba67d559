"""One worker without TensorFlow, as a process: it meets the others, and then trains or is stuck."""

import os
import sys
import time
from pathlib import Path

from feedbench.bench.cluster.hosts import cluster_of
from feedbench.bench.cluster.meeting import meet
from feedbench.bench.cluster.session import Session
from feedbench.bench.errors import PeerLost


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def end_at_once(line: str, code: int) -> None:
    _say(f"at once: {line}")
    os._exit(code)


def main(path: str, worker: str, how: str) -> None:
    cluster = cluster_of(Path(path), int(worker))
    wires, _ = meet(cluster, {}, {}, lambda line: None, lambda: None)
    on_sign = Session.ask_to_stop if how == "asks" else lambda session: None
    with Session(cluster, wires, end_at_once, on_sign) as session:
        _say("met")
        if how == "fails":
            raise ValueError("this worker's disk is full")
        if how == "leaves":
            return
        if how == "interrupted":
            raise KeyboardInterrupt
        while how in ("stuck", "asks"):  # as in a step that waits for another worker
            time.sleep(60)
        while True:
            session.check()
            if session.is_asked_to_stop and how == "trains":
                session.stopped("stopped")
                return
            time.sleep(0.05)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except PeerLost as error:
        _say(f"error: {error}")
        sys.exit(error.code)
