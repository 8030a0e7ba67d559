"""From a tf.data dataset of `(images, rows)` to batches, naming the file behind an error."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from loaders.contract import Batch
from loaders.errors import ImageError
from loaders.manifest import Manifest
from loaders.order import Rows

if TYPE_CHECKING:
    import tensorflow as tf


def batches(
    dataset: tf.data.Dataset,
    manifest: Manifest,
    decode: Callable[[Any], Any],
    next_rows: Callable[[int], Iterable[Rows]],
) -> Iterator[Batch]:
    """The dataset's batches as they come.

    Args:
        dataset: elements `(images, rows)`.
        decode: from file bytes to pixels; tried on each suspect when an element fails.
        next_rows: pieces of the rows that may have failed after so many images were given.

    Raises:
        ImageError: a file cannot be read. TensorFlow's own error names none.
    """
    import tensorflow as tf

    iterator = iter(dataset)
    given = 0
    while True:
        try:
            images, rows = next(iterator)
        except StopIteration:
            return
        except tf.errors.OpError as error:
            suspects = (path for rows in next_rows(given) for path in manifest.paths(rows))
            raise _unreadable(suspects, decode) or error from error
        taken = rows.numpy()
        given += len(taken)
        yield Batch(images, manifest.labels[taken], taken)


def _unreadable(paths: Iterable[bytes], decode: Callable[[Any], Any]) -> ImageError | None:
    import tensorflow as tf

    for path in paths:
        try:
            decode(tf.io.read_file(path))
        except tf.errors.OpError as error:
            reason = (error.message or str(error)).splitlines()[0].strip()
            return ImageError(
                f"{os.fsdecode(path)}: TensorFlow cannot read it: {reason}; mend or remove the file"
            )
    return None
