"""The command that runs now, with other options: what to type next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path

_FOLDERS = ("--out", "--resume")  # which hold results by then


def resume_command(arguments: Sequence[str], folder: Path) -> str:
    """Return the command that resumes a run with the same options.

    Args:
        arguments: of the command line that started or resumed it.
        folder: of the run.
    """
    command, *options = _without(arguments, _FOLDERS)
    return shlex.join(["feedbench", command, "--resume", str(folder), *options])


def with_consumer(
    arguments: Sequence[str], consumer: str, others: Mapping[str, str] | None = None
) -> str:
    """Return the command that measures the same with another consumer, in a new folder.

    Args:
        arguments: of the command line.
        others: values of other options to change, by their names, such as "--image-size".
    """
    options = {**(others or {}), "--consumer": consumer}
    kept = _without(arguments, (*_FOLDERS, *options))
    return shlex.join(["feedbench", *kept, *chain.from_iterable(options.items())])


def _without(arguments: Sequence[str], options: Sequence[str]) -> Iterator[str]:
    """Yield the arguments without these options and their values."""
    words = iter(arguments)
    for word in words:
        if word in options:
            next(words, None)  # its value
        elif not word.startswith(tuple(f"{option}=" for option in options)):
            yield word
