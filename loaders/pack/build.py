"""Prepares all rows of a manifest as a pack, on all cores."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.contract import BatchSpec
from feedbench.loaders.cores import usable_cores
from feedbench.loaders.errors import ImageError
from feedbench.loaders.faults import Faults
from feedbench.loaders.images.libjpeg import Decode, LiveImages
from feedbench.loaders.images.resize import disable_opencv_threads, fit_into, shrunk
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.pack.pack import About, Kind, Pack, arrays_of, fields_of, row_hash
from feedbench.loaders.pack.writer import PackWriter, check_room

Pixels = NDArray[np.uint8]
_ROUND = 512  # rows that are handed out before the next are
_SAMPLE = 64  # rows whose JPEGs tell how large all will be
_RECORD_BYTES = 120  # what a record holds besides its JPEG


@dataclass(frozen=True)
class Packing:
    """What is to be packed, and how.

    Attributes:
        side: of a JPEG, at most, pixels; smaller images stay as they are.
        quality: of a JPEG, libjpeg's 1 to 100.
    """

    manifest: Manifest
    spec: BatchSpec
    kind: Kind
    side: int = 256
    quality: int = 90
    decode: Decode = "full"

    @property
    def about(self) -> About:
        """What the pack will hold."""
        if self.kind == "arrays":
            return arrays_of(self.manifest, self.spec, self.decode)
        return About(
            kind="jpeg",
            fields=fields_of(self.spec, "jpeg"),
            decode=self.decode,
            side=self.side,
            quality=self.quality,
            rows=row_hash(self.manifest),
            images=len(self.manifest),
        )

    def size(self) -> int:
        """Bytes that the pack will take: of arrays exactly, of JPEGs by a sample.

        Raises:
            ImageError: no image of the sample can be read.
        """
        if self.kind == "arrays":
            return len(self.manifest) * self.spec.image_size**2 * 3
        disable_opencv_threads()
        rows = np.unique(np.linspace(0, len(self.manifest) - 1, _SAMPLE).astype(np.int64))
        made = Made(self)
        sizes, last = [], None
        for row in rows.tolist():
            try:
                sizes.append(made(row).nbytes + _RECORD_BYTES)
            except ImageError as error:
                last = error
        if last is not None and not sizes:
            raise last
        return int(np.mean(sizes) * len(self.manifest))


class Made:
    """A row's bytes as the pack holds them; called on several threads at once."""

    def __init__(self, packing: Packing) -> None:
        # Scaled decoding must leave as many pixels as the pack is to hold.
        side = packing.spec.image_size if packing.kind == "arrays" else packing.side
        wanted = packing.spec.model_copy(update={"image_size": side})
        if packing.kind == "jpeg":
            wanted = wanted.model_copy(update={"resize": "pad"})
        self._packing = packing
        self._spec = wanted
        self._images = LiveImages(packing.manifest, wanted, packing.decode)

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
    """The pack in the making, new or gone on with.

    Raises:
        SettingsError: the folder cannot be used, or the disk has too little room.
    """
    about = packing.about
    if packing.kind == "jpeg":
        folder.mkdir(parents=True, exist_ok=True)
        check_room(folder, packing.size())
    writer = PackWriter(folder, about, packing.manifest)
    try:
        yield writer
    finally:
        writer.close()


def fill(
    packing: Packing, writer: PackWriter, faults: Faults, advance: Callable[[int], None]
) -> None:
    """Write all rows that are missing and make the pack whole.

    Raises:
        LoaderError: an image cannot be read and may not be left out, or the disk is full.
    """
    disable_opencv_threads()
    made, labels = Made(packing), packing.manifest.labels

    def one(row: int) -> None:
        try:
            data = made(row)
        except ImageError as error:
            faults.add(error)
            writer.fail(row)
        else:
            writer.put(row, data, int(labels[row]))

    missing = writer.missing()
    pool = ThreadPoolExecutor(usable_cores(), "feedbench-pack")
    try:
        for begin in range(0, len(missing), _ROUND):
            rows = missing[begin : begin + _ROUND].tolist()
            for _ in pool.map(one, rows):
                advance(1)
    finally:
        pool.shutdown(cancel_futures=True)
    writer.finish()


def unsound(pack: Pack, advance: Callable[[int], None]) -> list[int]:
    """Positions whose bytes are not those that were written."""
    found: list[int] = []

    def sound(entries: list[tuple[int, int, int, int, int]]) -> list[bool]:
        return [pack.sound(entry) for entry in entries]

    with ThreadPoolExecutor(usable_cores()) as pool:
        pieces = [
            pack.entries(np.arange(begin, min(begin + _ROUND, len(pack.index))))
            for begin in range(0, len(pack.index), _ROUND)
        ]
        for number, answers in enumerate(pool.map(sound, pieces)):
            found += [number * _ROUND + place for place, well in enumerate(answers) if not well]
            advance(len(answers))
    return found
