"""The stages of a loader that reads a pack."""

from __future__ import annotations

import os
import tempfile
from contextlib import closing
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.contract import BatchSpec, Dtype
from feedbench.loaders.images.libjpeg_turbo import Decode, Scratch, decoded_jpeg
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Rows
from feedbench.loaders.pack.about import check_spec
from feedbench.loaders.pack.pack import Entry, Pack, read_into
from feedbench.loaders.stages.draws import crop_of, drawn_crops
from feedbench.loaders.stages.pool import decoding_stages, pixel_stages
from feedbench.loaders.stages.stage import HELD_BYTES, SAMPLE, Reading, Stages

Pixels = NDArray[np.uint8]


def pack_stages(
    folder: Path, manifest: Manifest, spec: BatchSpec, decode: Decode, dtype: Dtype
) -> Stages:
    """The stages of a pack: its arrays are only read, its JPEGs are decoded and resized too.

    Raises:
        LoaderError: it is not a whole pack, or not one of these rows and this spec.
    """
    with closing(Pack(folder)) as pack:
        check_spec(folder, pack.about, spec)
        kind, size = pack.about.kind, pack.bytes_of(pack.positions(manifest))
    work = PackWork(folder, manifest, spec, decode)
    reading = Reading(work.find, work.read, size)
    if kind == "arrays":
        return pixel_stages(reading, spec, dtype)
    return decoding_stages(reading, spec, dtype, work.sample, work.decoded)


class PackWork:
    """Reads and decodes rows of a pack, which is opened on first use."""

    def __init__(self, folder: Path, manifest: Manifest, spec: BatchSpec, decode: Decode) -> None:
        self._folder = folder
        self._manifest = manifest
        self._spec = spec.as_resized()
        self._scaled = decode == "scaled"
        self._bytes, self._pixels = Scratch(), Scratch()

    def find(self, rows: Rows) -> list[Entry]:
        """Return the pack entries of some rows."""
        return self._pack.entries(self._positions[rows])

    def read(self, entry: Entry) -> int:
        """Read a row into a reused buffer, and return its size in bytes."""
        length = entry[2]
        self._pack.read(entry, self._bytes(length)[:length])
        return length

    def sample(self) -> list[tuple[bytes, Crops | None]]:
        """Return the bytes of a random sample of rows, and what to cut out of each."""
        rows = np.random.default_rng(0).permutation(self._pack.readable())[:SAMPLE]
        crops = drawn_crops(len(rows), self._spec)
        files = [self._pack.row_bytes(row) for row in rows.tolist()]
        return [(data, crop_of(crops, index)) for index, data in enumerate(files)]

    def decoded(self, item: tuple[bytes, Crops | None]) -> Pixels:
        """Return a packed JPEG's pixels, in a buffer that the thread's next call overwrites."""
        data, crop = item
        pixels = decoded_jpeg(data, self._spec, self._pixels, scaled=self._scaled, crop=crop)
        if pixels is None:
            raise ValueError(f"pack {self._folder}: a row is no longer a JPEG")
        return pixels

    @cached_property
    def _pack(self) -> Pack:
        return Pack(self._folder)

    @cached_property
    def _positions(self) -> Rows:
        return self._pack.positions(self._manifest)


class ArrayWork:
    """Reads images of the batch's size from a file, as from a pack of arrays."""

    def __init__(self, manifest: Manifest, spec: BatchSpec, folder: Path) -> None:
        self._size = 3 * spec.image_size**2
        self._rows = min(len(manifest), max(1, HELD_BYTES // self._size))
        self._folder = folder
        self._bytes = Scratch()

    def find(self, rows: Rows) -> list[int]:
        """Return the offsets of some rows, in bytes."""
        return (rows % self._rows * self._size).tolist()  # type: ignore[no-any-return]

    def read(self, offset: int) -> int:
        """Read a row into a reused buffer, and return its size in bytes."""
        read_into(self._file, self._bytes(self._size)[: self._size], offset)
        return self._size

    @cached_property
    def _file(self) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        # An unnamed file: it disappears with its process, however that ends.
        with tempfile.TemporaryFile(dir=self._folder) as file:
            for _ in range(self._rows):
                file.write(bytes(self._size))
            file.flush()
            return os.dup(file.fileno())


def array_stages(manifest: Manifest, spec: BatchSpec, folder: Path, dtype: Dtype) -> Stages:
    """The stages of a cache that is a pack of arrays in that folder, once it is full."""
    work = ArrayWork(manifest, spec, folder)
    size = len(manifest) * 3 * spec.image_size**2
    return pixel_stages(Reading(work.find, work.read, size, True), spec, dtype)
