"""The pictures of a pack, as a pool of threads asks for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.batch_pool import Source
from feedbench.loaders.contract import BatchSpec
from feedbench.loaders.errors import ImageError
from feedbench.loaders.images.libjpeg import Decode, Scratch, decoded_jpeg
from feedbench.loaders.images.resize import fit_into
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Rows
from feedbench.loaders.pack.pack import FAILED, Entry, Pack

Pixels = NDArray[np.uint8]


def source_of(pack: Pack, manifest: Manifest, spec: BatchSpec, decode: Decode) -> Source:
    """A pack's pictures for the rows of a manifest.

    Raises:
        SettingsError: a row is not in the pack, or its file has changed since.
    """
    if pack.about.kind == "arrays":
        return Arrays(pack, manifest)
    return Jpegs(pack, manifest, spec, decode)


class Arrays:
    """Rows of pixels as the batch wants them."""

    def __init__(self, pack: Pack, manifest: Manifest) -> None:
        self._pack = pack
        self._manifest = manifest
        self._positions = pack.positions(manifest)

    def find(self, rows: Rows) -> list[Entry]:
        """Where each row is."""
        return self._pack.entries(self._positions[rows])

    def load(self, row: int, item: Any, into: Pixels) -> None:
        """Write one row's picture.

        Raises:
            ImageError: it could not be read when it was packed, or the pack has been cut.
        """
        if item[4] == FAILED:
            raise self.failed(row, "it could not be read when it was packed")
        if not self._pack.read(item, into):
            raise self.failed(row, "a file of it has been cut short")

    def failed(self, row: int, words: str) -> ImageError:
        """What to say of a row that the pack cannot give."""
        return ImageError(self._manifest.path(row), row, f"pack {self._pack.folder}", words)


class Jpegs(Arrays):
    """Rows of JPEGs, decoded and resized straight into the batch."""

    def __init__(self, pack: Pack, manifest: Manifest, spec: BatchSpec, decode: Decode) -> None:
        super().__init__(pack, manifest)
        self._spec = spec
        self._scaled = decode == "scaled"
        self._bytes, self._decoded = Scratch(), Scratch()

    def load(self, row: int, item: Any, into: Pixels) -> None:
        """Write one row's picture.

        Raises:
            ImageError: it could not be read when it was packed, or the pack has been changed.
        """
        data = self._bytes(item[2])[: item[2]]
        super().load(row, item, data)
        pixels = decoded_jpeg(data, self._spec, self._decoded, scaled=self._scaled)
        if pixels is None:
            raise self.failed(row, "its bytes are no longer a JPEG")
        fit_into(pixels, self._spec, into)
