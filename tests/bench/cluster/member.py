"""One worker without TensorFlow, as a process: it meets the others, and then trains or is stuck."""

import os
import sys
import time
from pathlib import Path

from feedbench.bench.cluster.hosts import cluster_of
from feedbench.bench.cluster.meeting import meet
from feedbench.bench.cluster.session import Session
from feedbench.bench.errors import PeerLost


def end_at_once(line: str, code: int) -> None:
    print("at once:", line, flush=True)
    os._exit(code)


def main(path: str, worker: str, how: str) -> None:
    cluster = cluster_of(Path(path), int(worker))
    wires, _ = meet(cluster, {}, {}, lambda line: None, lambda: None)
    with Session(cluster, wires, end_at_once) as session:
        print("met", flush=True)
        if how == "fails":
            raise ValueError("this worker's disk is full")
        if how == "leaves":
            return
        while how == "stuck":  # as in a step that waits for a worker that is lost
            time.sleep(60)
        while True:
            session.check()
            time.sleep(0.05)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    except PeerLost as error:
        print("error:", error, flush=True)
        sys.exit(error.code)
