"""The memory that each process of an audit may take, so that a decoder fails before the machine."""

from __future__ import annotations

import resource

import psutil

from feedbench.loaders.amounts import amount
from feedbench.loaders.audit.probe import ProbeLimits

TOO_LITTLE = 75  # exit code of a process to which the user's limit leaves less than it may need
_BYTES_PER_PIXEL = 24  # the file, buffers of a decoder, its output, and that over a background
_MIN_SPARE_BYTES = 2 << 30


class TooLittleMemory(Exception):
    """The limit of the user leaves less memory than the largest image may need."""


def limit_memory(limits: ProbeLimits) -> None:
    """Let a decoder fail that allocates more than any image needs.

    Raises:
        TooLittleMemory: the user's own limit is lower, so decoders could fail on sound images.
    """
    needed = psutil.Process().memory_info().vms + _spare_bytes(limits)
    hard = _of_user()
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise TooLittleMemory
    resource.setrlimit(resource.RLIMIT_AS, (needed, hard))


def too_little_text(limits: ProbeLimits) -> str:
    """Why a scan ends with `TooLittleMemory`, and what to do."""
    spare = _spare_bytes(limits)
    smaller = ", or give a smaller --pixel-limit" if spare > _MIN_SPARE_BYTES else ""
    return (
        f"the memory of each process is limited to {amount(_of_user())} (ulimit -v), which leaves "
        f"less than the {amount(spare)} that decoding an image of {limits.pixels:,} pixels may "
        f"take; raise the limit{smaller}"
    )


def limit_text() -> str:
    """The user's limit as the end of a sentence; "" without one."""
    limit = _of_user()
    if limit == resource.RLIM_INFINITY:
        return ""
    return f"; the memory of each process is limited to {amount(limit)} (ulimit -v)"


def _of_user() -> int:
    return resource.getrlimit(resource.RLIMIT_AS)[1]


def _spare_bytes(limits: ProbeLimits) -> int:
    return max(_MIN_SPARE_BYTES, limits.pixels * _BYTES_PER_PIXEL)
