"""The number of files that this process may have open."""

from __future__ import annotations

import os
import resource
from contextlib import suppress

_RESERVE = 256  # for everything else that is opened later


def allow_open_files(count: int) -> None:
    """Raise the soft limit, usually 1,024, so that `count` more files can be open.

    Nothing happens where the hard limit does not allow it: opening them then says so.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = len(os.listdir("/proc/self/fd")) + count + _RESERVE
    if soft != resource.RLIM_INFINITY and needed > soft:
        limit = needed if hard == resource.RLIM_INFINITY else min(needed, hard)
        with suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
