"""The .beton file that FFCV reads: written once, in a folder, and tied to the files it was made of.

about.json        what the images depend on, and how long their file is; written last
manifest.parquet  the rows, as listed by a scan
files.npy         size and modification time of each original file
failed.jsonl      the rows that could not be read; another image is in their place
images.beton      FFCV's own format
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np

from feedbench.loaders.contract import BatchSpec, Frozen
from feedbench.loaders.errors import ImageError, PackedImageError, SettingsError, SourceError
from feedbench.loaders.guests.beton_writer import write_images
from feedbench.loaders.images.decode_path import pillow_decode_paths
from feedbench.loaders.images.libjpeg_turbo import LiveImages
from feedbench.loaders.images.resize import Pixels, shrunk
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.originals import Originals
from feedbench.replacing import replacing

WriteMode = Literal["raw", "jpg", "proportion"]
ABOUT, FAILED, IMAGES, LOCK = "about.json", "failed.jsonl", "images.beton", "lock"
BYTES = "bytes"  # of the images' file, in ABOUT
_PAGE = 23  # FFCV's page of 8 MiB, as a power of two


class About(Frozen):
    """What the images of a .beton file depend on.

    Attributes:
        rows: a hash of the manifest's rows.
        root: the folder of the original files.
        write_mode: FFCV's; as are the three below.
        orientation: of the batch spec, as is `background`.
    """

    rows: str
    root: str
    write_mode: WriteMode
    max_resolution: int
    jpeg_quality: int
    compress_probability: float
    orientation: str
    background: tuple[int, int, int]

    def folder(self, parent: Path) -> Path:
        """The folder of this file among others, named after all that its images depend on."""
        return parent / hashlib.sha256(self.text().encode()).hexdigest()[:16]

    def text(self) -> str:
        """The description as JSON; names that are not UTF-8 are escaped."""
        return json.dumps(self.model_dump(), indent=1)


class Beton:
    """A complete .beton file.

    Attributes:
        path: the file that FFCV opens.
        failed: the rows that could not be read when it was written.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.path = folder / IMAGES
        self.failed = _failed(folder, manifest)


def opened(parent: Path, about: About, manifest: Manifest, spec: BatchSpec) -> Beton:
    """The file of these images; it is written first if it is not there.

    Raises:
        SettingsError: the folder cannot be used, or original files have changed since.
        LoaderError: the file cannot be written.
    """
    folder = about.folder(parent)
    with _system_errors(folder):
        if not (folder / ABOUT).exists():
            with _locked(parent):
                if not (folder / ABOUT).exists():  # nor has another process written it meanwhile
                    with _only_whole(folder):
                        _write(folder, about, manifest, spec)
    _check(folder, manifest)
    return Beton(folder, manifest)


def _check(folder: Path, manifest: Manifest) -> None:
    try:
        _check_size(folder)
        change = Originals.read(folder).change(manifest, np.arange(len(manifest)))
    except SourceError as error:
        change = str(error)
    if change:
        raise SettingsError(f"ffcv: {folder}: {change}; remove the folder, and it is written again")


def _check_size(folder: Path) -> None:
    """Check that all of the images' file is there: FFCV maps it, and would end the process.

    Raises:
        SourceError: it is missing or has another size; the message says so.
    """
    if not (folder / IMAGES).is_file():
        raise SourceError(f"{IMAGES} is missing")
    try:
        size = json.loads((folder / ABOUT).read_bytes()).get(BYTES)
    except ValueError as error:
        raise SourceError(f"{ABOUT} is damaged") from error
    found = (folder / IMAGES).stat().st_size
    if size not in (None, found):  # older folders do not say
        raise SourceError(f"{IMAGES} has {found:,} bytes, but was written with {size:,}")


def _write(folder: Path, about: About, manifest: Manifest, spec: BatchSpec) -> None:
    """Write all files of a folder, the description last.

    Raises:
        SpecError: the images of the spec cannot be decoded without a scan.
    """
    pillow_decode_paths(manifest, spec)
    (folder / FAILED).touch()
    Originals.of(manifest).write(folder)
    with replacing(folder / IMAGES) as beside:
        _write_images(beside, about, _Images(manifest, spec, about.max_resolution, folder / FAILED))
    complete = {**about.model_dump(), BYTES: (folder / IMAGES).stat().st_size}
    with replacing(folder / ABOUT) as beside:
        beside.write_text(json.dumps(complete, indent=1))


def _write_images(path: Path, about: About, images: _Images) -> None:
    from ffcv.fields import RGBImageField

    field = RGBImageField(
        write_mode=about.write_mode,
        max_resolution=about.max_resolution,
        jpeg_quality=about.jpeg_quality,
        compress_probability=about.compress_probability,
    )
    # A page has to hold the largest image, or the process that writes it fails.
    page_size = 1 << max(_PAGE, (4 * about.max_resolution**2).bit_length())
    write_images(path, images, field, page_size)


class _Images:
    """The original images as FFCV's writer takes them; its processes use a copy each."""

    def __init__(
        self, manifest: Manifest, spec: BatchSpec, max_resolution: int, failed: Path
    ) -> None:
        self._manifest = manifest
        self._spec = spec
        self._side = max_resolution
        self._failed = failed

    def __len__(self) -> int:
        return len(self._manifest)

    def __getitem__(self, row: int) -> tuple[Pixels]:
        row = int(row)
        (path,) = self._images.find(np.array([row], np.int64))
        try:
            return (_long(self._images.whole(row, path), self._side),)
        except Exception as error:
            self._note(row, error)
            return (np.zeros((8, 8, 3), np.uint8),)

    @cached_property
    def _images(self) -> LiveImages:  # made where it is used: it holds memory of one thread each
        return LiveImages(self._manifest, self._spec)

    def _note(self, row: int, error: Exception) -> None:
        reason = error.reason if isinstance(error, ImageError) else str(error)
        line = json.dumps({"row": row, "reason": reason}) + "\n"
        file = os.open(self._failed, os.O_WRONLY | os.O_APPEND)
        try:
            os.write(file, line.encode())  # at once: other processes append too
        finally:
            os.close(file)


def _long(image: Pixels, side: int) -> Pixels:
    """An image of which FFCV would leave no row or column, shrunk beforehand."""
    shorter, longer = sorted(image.shape[:2])
    return shrunk(image, side) if shorter * side < longer else image


def _failed(folder: Path, manifest: Manifest) -> dict[int, ImageError]:
    lines: list[dict[str, Any]] = []
    for line in (folder / FAILED).read_text().splitlines():
        lines.append(json.loads(line))
    return {
        one["row"]: PackedImageError(
            manifest.path(one["row"]),
            one["row"],
            f"pack {folder}",
            f"it could not be read when it was packed: {one['reason']}",
        )
        for one in lines
    }


@contextmanager
def _locked(parent: Path) -> Iterator[None]:
    """Wait until no other process writes into the folder."""
    parent.mkdir(parents=True, exist_ok=True)
    with (parent / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def _only_whole(folder: Path) -> Iterator[None]:
    """Begin with an empty folder, whatever a killed process left; after an error, leave none."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    try:
        yield
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


@contextmanager
def _system_errors(folder: Path) -> Iterator[None]:
    """Raise errors of the system as a SettingsError of one line."""
    try:
        yield
    except (OSError, SourceError) as error:
        text = getattr(error, "strerror", None) or error
        raise SettingsError(f"ffcv: {folder}: {text}; name another folder") from error
