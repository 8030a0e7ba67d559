"""The files that a training was started with; a resumed one must have the same."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from feedbench.bench.errors import RecordError
from feedbench.loaders import Manifest, Originals, SourceError


def record_images(folder: Path, train_images: Manifest) -> None:
    """Write the training images, with the size and time of their files, before any is read.

    Raises:
        RecordError: the files cannot be written.
    """
    try:
        Originals.of(train_images).write(folder)
    except (OSError, SourceError) as error:
        raise RecordError(f"{folder}: the list of images cannot be written: {error}") from error


def check_same_files(folder: Path, train_images: Manifest, dropped_rows: Iterable[int]) -> None:
    """Check that the images are the files that the training was started with.

    Args:
        dropped_rows: rows that are not read again, so that their files may have changed.

    Raises:
        RecordError: they are not; the message names the first one.
    """
    try:
        originals = Originals.read(folder)
    except SourceError:  # started by an earlier version
        return
    except_rows = np.array(sorted(dropped_rows), np.int64)
    rows = np.arange(len(train_images))
    if change := originals.change(train_images, rows, except_rows=except_rows):
        raise RecordError(f"{folder}: {change}; undo the change, or start a new training")
