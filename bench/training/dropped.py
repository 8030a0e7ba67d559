"""dropped.jsonl: the training images that could not be read; a resumed training skips them."""

from __future__ import annotations

import json
from pathlib import Path

from feedbench.bench.errors import RecordError
from feedbench.loaders import ImageError, Stream

DROPPED = "dropped.jsonl"
_FIELDS = ("path", "row", "decoder", "reason")


def read_dropped(folder: Path) -> list[ImageError]:
    """Read the images that an earlier run dropped; an empty list if there is no file.

    Raises:
        RecordError: the file is not one that `DroppedLog` wrote.
    """
    path = folder / DROPPED
    if not path.exists():
        return []
    # The last line may be incomplete after a kill. Its file will fail again.
    lines = path.read_bytes().split(b"\n")[:-1]
    try:
        records = [json.loads(line) for line in lines]
        return [ImageError(*(record[name] for name in _FIELDS)) for record in records]
    except (ValueError, KeyError, TypeError) as error:
        raise RecordError(f"{path}: not a list of dropped images: {error}") from error


class DroppedLog:
    """Appends the images that a stream drops to dropped.jsonl."""

    def __init__(self, folder: Path, stream: Stream) -> None:
        """Images that the stream has already dropped are taken to be in the file."""
        self._path = folder / DROPPED
        self._stream = stream
        self._written = len(stream.dropped)

    def update(self) -> None:
        """Append the images dropped since the last call; cheap if there are none.

        Raises:
            RecordError: the file cannot be written.
        """
        new = self._stream.dropped[self._written :]
        if not new:
            return
        records = [{name: getattr(error, name) for name in _FIELDS} for error in new]
        lines = "".join(json.dumps(record) + "\n" for record in records)
        try:
            with self._path.open("ab") as file:
                file.write(lines.encode())
        except OSError as error:
            raise RecordError(
                f"{self._path}: {error.strerror}; fix this, then use --resume if there is a "
                "checkpoint"
            ) from error
        self._written += len(new)
