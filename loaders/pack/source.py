"""A pack as the source of a pool of threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.batch_pool import Source
from feedbench.loaders.contract import BatchSpec
from feedbench.loaders.errors import PackedImageError
from feedbench.loaders.images.fitted_jpeg import fit_jpeg, fit_jpegs, fitting
from feedbench.loaders.images.libjpeg_turbo import Decode, Scratch, decoded_jpeg
from feedbench.loaders.images.resize import fit_into
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Rows
from feedbench.loaders.pack.pack import FAILED, Pack, matches
from feedbench.loaders.pack.reading import Places, read_rows

Pixels = NDArray[np.uint8]


def source_of(pack: Pack, manifest: Manifest, spec: BatchSpec, decode: Decode) -> Source:
    """A source that reads the rows of a manifest from a pack.

    Raises:
        SettingsError: a row is not in the pack, or its file has changed since.
    """
    if pack.about.kind == "arrays":
        return Arrays(pack, manifest)
    return Jpegs(pack, manifest, spec, decode)


@dataclass(frozen=True)
class Entries:
    """What the index says of the rows of a batch.

    Attributes:
        entries: an ENTRY each.
        places: where their bytes are.
        are_checked: whether the CRC-32 of each was compared before.
    """

    entries: NDArray[Any]
    places: Places
    are_checked: bool

    def __getitem__(self, place: int) -> Any:
        return self.entries[place]


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

    def find(self, rows: Rows) -> Entries:
        """The index entry of each row."""
        entries = self._pack.index.take(self._positions.take(rows))  # faster than by brackets
        is_checked = bool(self._checked[rows].all())
        return Entries(entries, self._pack.places(entries), is_checked)

    def load_rows(
        self, rows: Rows, items: Entries, piece: range, into: Pixels, crops: Crops | None
    ) -> Sequence[int]:
        """Write some images of a batch, with one call if each row was checked before.

        Returns:
            The places in the batch that are left to `load`, such as those of rows that fail.
        """
        if not items.are_checked:
            return piece
        return piece[read_rows(items.places, piece, into[piece.start :]) :]

    def load(self, row: int, item: Any, into: Pixels) -> None:
        """Write the image of one row.

        Raises:
            ImageError: it could not be read when it was packed, or the pack is damaged.
        """
        if item["state"] == FAILED:
            raise self.failed(row, "it could not be read when it was packed")
        try:
            is_whole = self._pack.read(item.item(), into)
        except OSError as error:  # of the disk, say
            raise self.failed(row, error.strerror or str(error)) from error
        if not is_whole:
            raise self.failed(row, "a file of the pack is truncated")
        if not self._is_known(row, item, into):
            raise self.failed(row, "the pack is damaged: these bytes are not what was written")

    def _is_known(self, row: int, item: Any, data: Pixels) -> bool:
        """Whether the bytes of a row are what was written, or were when it was read first."""
        if not self._checked[row]:
            self._checked[row] = matches(item.item(), data)
        return bool(self._checked[row])

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

    def load_rows(
        self, rows: Rows, items: Entries, piece: range, into: Pixels, crops: Crops | None
    ) -> Sequence[int]:
        """Write some images of a batch: one call reads them, another one decodes them.

        Returns:
            The places in the batch that are left to `load` or `load_region`.
        """
        if self._fitting is None:
            return piece
        lengths = items.places.lengths
        data = self._bytes(int(lengths[piece.start : piece.stop].sum()))
        there = piece[: read_rows(items.places, piece, data)]
        if not items.are_checked:
            there = there[: self._known(rows, items, there, data)]
        return [*fit_jpegs(data, lengths, there, self._fitting, crops, into), *piece[len(there) :]]

    def _known(self, rows: Rows, items: Entries, piece: range, data: Pixels) -> int:
        """How many rows come before the first whose bytes are not what was written."""
        begin = 0
        for number, place in enumerate(piece):
            end = begin + int(items.places.lengths[place])
            if not self._is_known(int(rows[place]), items[place], data[begin:end]):
                return number
            begin = end
        return len(piece)

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
        length = int(item["length"])
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
