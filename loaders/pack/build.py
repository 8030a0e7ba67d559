"""Packs all rows of a manifest, on all cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.contract import BatchSpec
from feedbench.loaders.cores import usable_cores
from feedbench.loaders.errors import ImageError
from feedbench.loaders.faults import Faults
from feedbench.loaders.images.libjpeg_turbo import Decode, LiveImages
from feedbench.loaders.images.resize import disable_opencv_threads, fit_into, shrunk
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.pack.about import (
    About,
    Kind,
    arrays_of,
    check_about,
    check_rows,
    fields_of,
)
from feedbench.loaders.pack.pack import Pack
from feedbench.loaders.pack.writer import PackWriter

Pixels = NDArray[np.uint8]
_CHUNK = 512  # rows that are handed to the threads at a time
_SAMPLE = 64  # rows whose JPEGs are encoded to estimate the size of all
_RECORD_BYTES = 120  # of a record besides its JPEG


@dataclass(frozen=True)
class Packing:
    """What to pack, and how.

    Attributes:
        side: largest side of a JPEG in pixels; smaller images keep their size.
        quality: of the JPEGs, libjpeg's 1 to 100.
    """

    manifest: Manifest
    spec: BatchSpec
    kind: Kind
    side: int = 256
    quality: int = 90
    decode: Decode = "full"

    @property
    def about(self) -> About:
        """The description of the pack."""
        if self.kind == "arrays":
            return arrays_of(self.manifest, self.spec, self.decode)
        return About(
            kind="jpeg",
            fields=fields_of(self.spec, "jpeg"),
            decode=self.decode,
            side=self.side,
            quality=self.quality,
            root=str(self.manifest.root),
            rows=self.manifest.fingerprint(),
            images=len(self.manifest),
        )

    @cached_property
    def encode(self) -> RowEncoder:
        """From a row to its bytes in the pack.

        Raises:
            SpecError: the images cannot be made as described.
        """
        return RowEncoder(self)

    def size(self) -> int:
        """Size of the pack in bytes: exact for arrays, estimated from a sample for JPEGs.

        Raises:
            ImageError: no image of the sample can be read.
        """
        if self.kind == "arrays":
            return len(self.manifest) * self.spec.image_size**2 * 3
        disable_opencv_threads()
        rows = np.unique(np.linspace(0, len(self.manifest) - 1, _SAMPLE).astype(np.int64))
        sizes, last = [], None
        for row in rows.tolist():
            try:
                sizes.append(self.encode(row).nbytes + _RECORD_BYTES)
            except ImageError as error:
                last = error
        if last is not None and not sizes:
            raise last
        return int(np.mean(sizes) * len(self.manifest))


class RowEncoder:
    """From a row to its bytes in the pack; called on several threads at once."""

    def __init__(self, packing: Packing) -> None:
        # Scaled decoding must keep the pixels that the pack needs.
        side = packing.spec.image_size if packing.kind == "arrays" else packing.side
        spec = packing.spec.model_copy(update={"image_size": side})
        if packing.kind == "jpeg":
            spec = spec.model_copy(update={"resize": "pad"})
        self._packing = packing
        self._spec = spec
        self._images = LiveImages(packing.manifest, spec, packing.decode)

    def __call__(self, row: int) -> Pixels:
        """Pixels uint8 `[side, side, 3]`, or the bytes of a JPEG, uint8 `[length]`.

        Raises:
            ImageError: the row cannot be read.
        """
        (path,) = self._images.find(np.array([row], np.int64))
        if self._packing.kind == "jpeg":
            return self._jpeg(self._images.whole(row, path))
        pixels = np.empty((self._spec.image_size, self._spec.image_size, 3), np.uint8)
        fit_into(self._images.whole(row, path), self._spec, pixels)
        return pixels

    def _jpeg(self, image: Pixels) -> Pixels:
        import simplejpeg

        small = np.ascontiguousarray(shrunk(image, self._packing.side))
        quality = self._packing.quality
        data = simplejpeg.encode_jpeg(small, quality, "RGB", "420", fastdct=False)
        return np.frombuffer(data, np.uint8)


@contextmanager
def opened(packing: Packing, folder: Path) -> Iterator[PackWriter]:
    """A writer for the pack, which may have been started before.

    Raises:
        SettingsError: the folder cannot be used, or the disk has too little space.
        SpecError: the images cannot be made as described; no folder is left.
    """
    _ = packing.encode  # refuses before there is a folder
    estimate = packing.size() if packing.kind == "jpeg" else None
    writer = PackWriter(folder, packing.about, packing.manifest, estimate)
    try:
        writer.drop_corrupt()
        yield writer
    finally:
        writer.close()


def fill(
    packing: Packing, writer: PackWriter, faults: Faults, advance: Callable[[int], None]
) -> None:
    """Write all missing rows and complete the pack.

    Raises:
        LoaderError: an image cannot be read and may not be left out, or the disk is full.
    """
    disable_opencv_threads()
    encode, labels = packing.encode, packing.manifest.labels

    def write(row: int) -> None:
        try:
            data = encode(row)
        except ImageError as error:
            faults.add(error)
            writer.fail(row)
        else:
            writer.put(row, data, int(labels[row]))

    missing = writer.missing()
    pool = ThreadPoolExecutor(usable_cores(), "feedbench-pack")
    try:
        for begin in range(0, len(missing), _CHUNK):
            rows = missing[begin : begin + _CHUNK].tolist()
            for _ in pool.map(write, rows):
                advance(1)
    finally:
        pool.shutdown(cancel_futures=True)
    writer.finish()


def check_packing(pack: Pack, packing: Packing) -> None:
    """Check that a pack holds what would be packed.

    Raises:
        SettingsError: it does not; the message names the first difference.
    """
    about = packing.about
    check_about(pack.folder, pack.about, about)
    check_rows(pack.folder, pack.about, about, packing.manifest)
    pack.positions(packing.manifest)


def corrupt_positions(pack: Pack, advance: Callable[[int], None]) -> list[int]:
    """Positions whose bytes are not the ones that were written."""
    corrupt: list[int] = []

    def check(begin: int) -> tuple[int, list[int]]:
        positions = np.arange(begin, min(begin + _CHUNK, len(pack)))
        entries = zip(positions.tolist(), pack.entries(positions), strict=True)
        return len(positions), [place for place, entry in entries if not pack.is_intact(entry)]

    with ThreadPoolExecutor(usable_cores()) as pool:
        for count, found in pool.map(check, range(0, len(pack), _CHUNK)):
            corrupt += found
            advance(count)
    return corrupt
