"""A pack as the source of a pool of threads."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.batch_pool import Source
from feedbench.loaders.contract import BatchSpec
from feedbench.loaders.errors import PackedImageError
from feedbench.loaders.images.libjpeg_turbo import Decode, Scratch, decoded_jpeg
from feedbench.loaders.images.resize import fit_into
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Rows
from feedbench.loaders.pack.pack import FAILED, Entry, Pack, matches

Pixels = NDArray[np.uint8]


def source_of(pack: Pack, manifest: Manifest, spec: BatchSpec, decode: Decode) -> Source:
    """A source that reads the rows of a manifest from a pack.

    Raises:
        SettingsError: a row is not in the pack, or its file has changed since.
    """
    if pack.about.kind == "arrays":
        return Arrays(pack, manifest)
    return Jpegs(pack, manifest, spec, decode)


class Arrays:
    """Rows of finished pixels, copied straight into the batch.

    The CRC-32 of a row is compared when the row is read first. Comparing it each time would halve
    the rate of arrays that are in the page cache.
    """

    def __init__(self, pack: Pack, manifest: Manifest) -> None:
        self._pack = pack
        self._manifest = manifest
        self._positions = pack.positions(manifest)
        self._checked = np.zeros(len(manifest), np.bool_)

    def find(self, rows: Rows) -> list[Entry]:
        """The index entry of each row."""
        return self._pack.entries(self._positions[rows])

    def load(self, row: int, item: Any, into: Pixels) -> None:
        """Write the image of one row.

        Raises:
            ImageError: it could not be read when it was packed, or the pack is damaged.
        """
        if item[4] == FAILED:
            raise self.failed(row, "it could not be read when it was packed")
        if not self._pack.read(item, into):
            raise self.failed(row, "a file of the pack is truncated")
        if not self._checked[row]:
            if not matches(item, into):
                raise self.failed(row, "the pack is damaged: these bytes are not what was written")
            self._checked[row] = True

    def failed(self, row: int, reason: str) -> PackedImageError:
        """The error for a row that the pack cannot provide."""
        return PackedImageError(self._manifest.path(row), row, f"pack {self._pack.folder}", reason)


class Jpegs(Arrays):
    """Rows of JPEGs, decoded and resized straight into the batch."""

    def __init__(self, pack: Pack, manifest: Manifest, spec: BatchSpec, decode: Decode) -> None:
        super().__init__(pack, manifest)
        self._spec = spec.as_resized()
        self._scaled = decode == "scaled"
        self._bytes, self._decoded = Scratch(), Scratch()

    def load(self, row: int, item: Any, into: Pixels) -> None:
        """Write the image of one row.

        Raises:
            ImageError: it could not be read when it was packed, or the pack has changed since.
        """
        self._decode(row, item, into, None)

    def load_region(self, row: int, item: Any, into: Pixels, crop: Crops) -> None:
        """Write a random-resized crop of the packed image, stretched to the same size.

        Raises:
            ImageError: as `load`.
        """
        self._decode(row, item, into, crop)

    def _decode(self, row: int, item: Any, into: Pixels, crop: Crops | None) -> None:
        data = self._bytes(item[2])[: item[2]]
        super().load(row, item, data)
        pixels = decoded_jpeg(data, self._spec, self._decoded, scaled=self._scaled, crop=crop)
        if pixels is None:
            raise self.failed(row, "its bytes are not a JPEG")
        fit_into(pixels, self._spec, into)
