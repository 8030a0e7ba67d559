"""Whether the workers of a service read the same files as this machine.

Nothing else would notice other files under the same paths: their images arrive under the rows of
those here, with the labels of those here.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from feedbench.loaders.files import read_file
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Rows
from feedbench.loaders.service.health import ServiceError

_DIGESTS = 2**62  # values that a digest may have


def digest(data: Any) -> Any:
    """A digest of the bytes of a file, an int64 scalar; much faster than decoding it."""
    import tensorflow as tf

    return tf.strings.to_hash_bucket_fast(data, _DIGESTS)


class SameFiles:
    """Compares one file of each batch with the one here; this machine should not read all.

    The place in the batch moves on from batch to batch.
    """

    def __init__(self, manifest: Manifest) -> None:
        self._manifest = manifest
        self._batches = 0

    def check(self, rows: Rows, given: Any, digests: Any) -> None:
        """Check a batch.

        Args:
            given: bool `[batch]`, false for images that the workers could not read.
            digests: int64 `[batch]`, of the files that the workers read.

        Raises:
            ServiceError: they read another file.
        """
        place = self._batches % len(rows)
        self._batches += 1
        if not given[place]:
            return
        with suppress(OSError):  # this machine need not have it
            data = read_file(self._manifest.address(int(rows[place])))
            if int(digest(data)) != int(digests[place]):
                raise ServiceError(
                    "the workers of the tf.data service do not read the same file as this machine "
                    f"under {self._manifest.path(int(rows[place]))}; give them the same files, "
                    "and start them again if they have been copied since"
                )
