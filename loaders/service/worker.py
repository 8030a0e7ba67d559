"""A worker process that a loader starts for itself; it ends with the process that started it."""

from __future__ import annotations

import ctypes
import os
import select
import signal
import sys

_POLL_S = 0.5
_PR_SET_PDEATHSIG = 1


def main() -> None:
    """Serve until standard input is closed, or the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the trainer's, which ends this process
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    parent, dispatcher, is_of_main_thread = int(sys.argv[1]), sys.argv[2], sys.argv[3] == "main"
    if is_of_main_thread and sys.platform == "linux":
        # While it is stopped it can see nothing. The signal comes at the end of the thread that
        # started this process, so that it must not be asked for if that is another one.
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    from feedbench.loaders.service.address import Address
    from feedbench.loaders.service.servers import start_worker

    server = start_worker(Address("127.0.0.1", 0), Address.parse(dispatcher, "dispatcher"))
    print(server.address, flush=True)  # noqa: T201  the parent waits for it
    while os.getppid() == parent and not _is_closed():
        pass
    os._exit(0)  # at once: its server would wait for calls that wait for batches


def _is_closed() -> bool:
    """Wait a moment for the end of standard input, at which nothing is ever written."""
    ready, _, _ = select.select([sys.stdin], [], [], _POLL_S)
    return bool(ready)


if __name__ == "__main__":
    main()
