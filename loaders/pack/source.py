"""A pack as the source of a pool of threads."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.batch_pool import Source
from feedbench.loaders.contract import BatchSpec
from feedbench.loaders.errors import PackedImageError
from feedbench.loaders.images.fitted_jpeg import decoder, fit_jpeg, fitting
from feedbench.loaders.images.libjpeg_turbo import Decode, Scratch, decoded_jpeg
from feedbench.loaders.images.resize import fit_into
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Rows
from feedbench.loaders.pack.pack import FAILED, Entry, Pack, matches
from feedbench.loaders.pool.compiled import PIXELS, Decoder, Work, source_of_pack

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

    def find(self, rows: Rows) -> Rows:
        """The position of each row in the pack.

        Raises:
            SettingsError: the pack was written to since it was opened.
        """
        self._pack.check_unchanged()
        return self._positions.take(rows)  # faster than by brackets

    def work(self, items: Rows) -> Work | None:
        """How the compiled module makes the images of any batch; None if it cannot."""
        return self._work

    @cached_property
    def _work(self) -> Work | None:
        pack, how = self._pack, self._decoder()
        if how is None:
            return None
        source = source_of_pack(pack.index, self._positions, pack.files, self._checked, how)
        return None if source is None else Work(source)

    def _decoder(self) -> Decoder | None:
        """How rows become images; None if the compiled module cannot do it."""
        return PIXELS

    def load(self, row: int, item: int, into: Pixels) -> None:
        """Write the image of one row.

        Raises:
            ImageError: it could not be read when it was packed, or the pack is damaged.
        """
        entry: Entry = self._pack.index[item].item()
        if entry[4] == FAILED:
            raise self.failed(row, "it could not be read when it was packed")
        try:
            is_whole = self._pack.read(entry, into)
        except OSError as error:  # of the disk, say
            raise self.failed(row, error.strerror or str(error)) from error
        if not is_whole:
            raise self.failed(row, "a file of the pack is truncated")
        if not self._is_known(row, entry, into):
            raise self.failed(row, "the pack is damaged: these bytes are not what was written")

    def _is_known(self, row: int, entry: Entry, data: Pixels) -> bool:
        """Whether the bytes of a row are what was written, or were when it was read first."""
        if self._checked[row]:
            return True
        if is_known := matches(entry, data):  # another thread may have read it, and intact
            self._checked[row] = True
        return is_known

    def failed(self, row: int, reason: str) -> PackedImageError:
        """The error for a row that the pack cannot provide."""
        return PackedImageError(self._manifest.path(row), row, f"pack {self._pack.folder}", reason)


class Jpegs(Arrays):
    """Rows of JPEGs, decoded and resized straight into the batch."""

    def __init__(self, pack: Pack, manifest: Manifest, spec: BatchSpec, decode: Decode) -> None:
        super().__init__(pack, manifest)
        self._spec = spec.as_resized()
        self._scaled = decode == "scaled"
        self._fitting = fitting(self._spec, scaled=self._scaled)
        self._bytes, self._decoded = Scratch(), Scratch()

    def _decoder(self) -> Decoder | None:
        return decoder(self._fitting)

    def load(self, row: int, item: int, into: Pixels) -> None:
        """Write the image of one row.

        Raises:
            ImageError: it could not be read when it was packed, or the pack has changed since.
        """
        self._decode(row, item, into, None)

    def load_region(self, row: int, item: int, into: Pixels, crop: Crops) -> None:
        """Write a random-resized crop of the packed image, stretched to the same size.

        Raises:
            ImageError: as `load`.
        """
        self._decode(row, item, into, crop)

    def _decode(self, row: int, item: int, into: Pixels, crop: Crops | None) -> None:
        length = int(self._pack.index["length"][item])
        data = self._bytes(length)[:length]
        super().load(row, item, data)
        if not self._fit(data, into, crop):
            raise self.failed(row, "its bytes are not a JPEG")

    def _fit(self, data: Pixels, into: Pixels, crop: Crops | None) -> bool:
        """Write the image of a JPEG's bytes; False if they are damaged."""
        if self._fitting is not None and fit_jpeg(data, self._fitting, into, crop):
            return True
        pixels = decoded_jpeg(data, self._spec, self._decoded, scaled=self._scaled, crop=crop)
        if pixels is None:
            return False
        fit_into(pixels, self._spec, into)
        return True
