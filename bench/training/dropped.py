"""The images that a training passed over, kept as they fail: one that goes on leaves them out."""

from __future__ import annotations

import json
from pathlib import Path

from feedbench.bench.errors import RecordError
from feedbench.loaders import Stream
from feedbench.loaders.errors import ImageError

DROPPED = "dropped.jsonl"
_FIELDS = ("path", "row", "decoder", "reason")


def read_drops(folder: Path) -> list[ImageError]:
    """What was passed over before.

    Raises:
        RecordError: the file is not one of these.
    """
    path = folder / DROPPED
    if not path.exists():
        return []
    # A line that a kill cut in half is of a file that will fail again.
    lines = path.read_bytes().split(b"\n")[:-1]
    try:
        values = [json.loads(line) for line in lines]
        return [ImageError(*(one[name] for name in _FIELDS)) for one in values]
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path}: not images that were passed over: {error}") from error


class Drops:
    """Keeps what a stream drops from now on."""

    def __init__(self, folder: Path, stream: Stream) -> None:
        self._path = folder / DROPPED
        self._stream = stream
        self._kept = len(stream.dropped)

    def keep(self) -> None:
        """Write what is new; costs nothing where there is nothing."""
        new = self._stream.dropped[self._kept :]
        if not new:
            return
        self._kept += len(new)
        with self._path.open("a") as file:
            for fault in new:
                values = {name: getattr(fault, name) for name in _FIELDS}
                file.write(json.dumps(values) + "\n")
