"""Writes the original files of a source into shards, without encoding them again."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.address import extent_of, name_of
from feedbench.loaders.errors import ImageError, SettingsError, printable
from feedbench.loaders.faults import Faults
from feedbench.loaders.file_stamps import file_sizes
from feedbench.loaders.files import image_error, read_file
from feedbench.loaders.manifest import SPLITS, Manifest
from feedbench.loaders.pack.about import AGAIN, file_crc32
from feedbench.loaders.pack.folder import LOCK, check_space, lock, system_errors
from feedbench.loaders.pack.shard_files import Original, tar_writer, tfrecord_writer
from feedbench.replacing import PART, replacing

Rows = NDArray[np.int64]
ShardKind = Literal["tfrecord", "webdataset"]
SHARDS, PLAN, CLASSES = "shards.json", "shards.json.partial", "classes.txt"
_SHARD_BYTES = 2**27
_RECORD_BYTES = {"tfrecord": 200, "webdataset": 2048}  # of an image besides its file
_READERS = 8  # files that are read at a time
_WRITERS = {"tfrecord": tfrecord_writer, "webdataset": tar_writer}


@dataclass(frozen=True)
class Shard:
    """A file to write.

    Attributes:
        rows: the images in it, in its order.
    """

    name: str
    rows: Rows


@dataclass(frozen=True)
class Sharding:
    """What to write, and how.

    Attributes:
        count: shards of the training images; None for as many as have about 128 MB. Each other
            split has at least one, and no larger ones.
    """

    manifest: Manifest
    kind: ShardKind
    count: int | None = None

    @cached_property
    def size(self) -> int:
        """Bytes of all shards together."""
        return int(self._sizes.sum()) + len(self.manifest) * _RECORD_BYTES[self.kind]

    @cached_property
    def shards(self) -> list[Shard]:
        """All shards, split by split.

        Training images are in a random order, always the same: readers of shards shuffle within a
        window only, in which images sorted by class would be of one class.
        """
        return [shard for number in range(len(SPLITS)) for shard in self._of_split(number)]

    @cached_property
    def plan(self) -> dict[str, Any]:
        """What the shards are made of, for `shards.json`."""
        return {
            "kind": self.kind,
            "root": os.fsencode(self.manifest.root).decode("utf-8", "backslashreplace"),
            "rows": self.manifest.fingerprint(sizes=True),
            "classes": list(self.manifest.classes),
            "images": {shard.name: len(shard.rows) for shard in self.shards},
        }

    @cached_property
    def _sizes(self) -> NDArray[np.int64]:
        return file_sizes(self.manifest, np.arange(len(self.manifest)))

    def _of_split(self, number: int) -> Iterator[Shard]:
        rows = np.flatnonzero(self.manifest.splits == number)
        if not len(rows):
            return
        if number == 0:
            rows = np.random.default_rng(0).permutation(rows)
        count = self._count(rows)
        ends = np.linspace(0, len(rows), count + 1).astype(np.int64)
        for index, (begin, end) in enumerate(pairwise(ends.tolist())):
            yield Shard(self._name(SPLITS[number], index, count), rows[begin:end])

    def _count(self, rows: Rows) -> int:
        """The number of shards of a split."""
        if self.count is None:
            count = -(-int(self._sizes[rows].sum()) // _SHARD_BYTES)
        else:
            most = max(1, int((self.manifest.splits == 0).sum()))
            count = -(-len(rows) * self.count // most)
        return min(max(count, 1), len(rows))

    def _name(self, split: str, index: int, count: int) -> str:
        if self.kind == "tfrecord":
            return f"{split}-{index:05}-of-{count:05}.tfrecord"
        return f"{split}-{index:06}.tar"


def _member(path: bytes, name: bytes) -> bytes:
    """The name of an image in its source; of one in a shard, without the name of the shard."""
    extent = extent_of(path)
    return name if extent is None else name[1 - extent.member :]


def are_complete(folder: Path) -> bool:
    """Whether a folder holds complete shards."""
    return (folder / SHARDS).exists()


def write_shards(
    sharding: Sharding, folder: Path, faults: Faults, advance: Callable[[int], None]
) -> None:
    """Write the missing shards; `shards.json` is written last.

    Each is written atomically, so that the same call resumes after a kill.

    Raises:
        SettingsError: the folder holds something else, or the disk is full.
        LoaderError: a file cannot be read and may not be left out.
    """
    _check_classes(sharding.manifest)
    with system_errors(folder):
        locked = lock(folder)
        try:
            with _unlocked_if_refused(folder):
                _begin(sharding, folder)
            for shard in sharding.shards:
                if not (folder / shard.name).exists():
                    with replacing(folder / shard.name) as beside:
                        _write(sharding, shard, beside, faults, advance)
                else:
                    advance(len(shard.rows))
            _finish(sharding, folder, faults)
        finally:
            os.close(locked)


@contextmanager
def _unlocked_if_refused(folder: Path) -> Iterator[None]:
    """Remove the lock from a folder in which nothing was begun: it holds something else."""
    try:
        yield
    except BaseException:
        if not (folder / PLAN).exists():
            (folder / LOCK).unlink(missing_ok=True)
        raise


def _begin(sharding: Sharding, folder: Path) -> None:
    """Check that the folder is empty or holds a part of the same; write down what it will hold."""
    plan = folder / PLAN
    if plan.exists():
        _check_plan(folder, json.loads(plan.read_bytes()), sharding.plan)
    elif other := [one.name for one in folder.iterdir() if one.name != LOCK]:
        raise SettingsError(f"{folder}: not empty, it holds {other[0]}; name a new or empty folder")
    for path in folder.glob(f"{PART}*"):  # of a process that was killed
        path.unlink()
    written = sum(path.stat().st_size for path in folder.iterdir())
    check_space(folder, max(0, sharding.size - written))
    with replacing(plan) as beside:
        beside.write_text(json.dumps(sharding.plan, indent=1))
    with replacing(folder / CLASSES) as beside:
        text = "".join(f"{name}\n" for name in sharding.manifest.classes)
        beside.write_bytes(text.encode("utf-8", "surrogateescape"))


def _finish(sharding: Sharding, folder: Path, faults: Faults) -> None:
    checksums = {shard.name: file_crc32(folder / shard.name) for shard in sharding.shards}
    left_out = [printable(error.path) for error in faults.dropped.values()]
    about = {**sharding.plan, "checksums": checksums, "left_out": left_out}
    with replacing(folder / SHARDS) as beside:
        beside.write_text(json.dumps(about, indent=1))
    (folder / PLAN).unlink()


def _write(
    sharding: Sharding, shard: Shard, path: Path, faults: Faults, advance: Callable[[int], None]
) -> None:
    manifest = sharding.manifest
    paths = dict(zip(shard.rows.tolist(), manifest.paths(shard.rows), strict=True))
    with _WRITERS[sharding.kind](path) as write, ThreadPoolExecutor(_READERS) as pool:
        for rows in np.array_split(shard.rows, max(1, len(shard.rows) // (4 * _READERS))):
            read = pool.map(lambda row: _read(row, paths[row]), rows.tolist())
            for row, data in zip(rows.tolist(), read, strict=True):
                if isinstance(data, ImageError):
                    faults.add(data)
                else:
                    label = int(manifest.labels[row])
                    name = _member(paths[row], manifest.name(row))
                    write(Original(row, name, data, label, manifest.classes[label]))
                advance(1)


def _read(row: int, path: bytes) -> bytes | ImageError:
    try:
        data = read_file(path)
    except OSError as error:
        return image_error(row, path, error)
    return data or ImageError(_readable(path), row, "the system", "empty")


def _readable(path: bytes) -> str:
    return os.fsdecode(name_of(path))


def _check_plan(folder: Path, existing: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name, text in (
        ("kind", "shards of another kind"),
        ("rows", "shards of other images, or these have changed"),
        ("images", _other_number(existing, wanted)),
    ):
        if existing.get(name) != wanted[name]:
            raise SettingsError(f"{folder}: holds {text}; {AGAIN}")


def _other_number(existing: dict[str, Any], wanted: dict[str, Any]) -> str:
    """Return how many shards of the first split that differs there are, and should be."""
    for split in SPLITS:
        had, want = (_shards_of(split, plan) for plan in (existing, wanted))
        if had != want:
            return f"{had} shards of {split} images, not {want}"
    return "shards with other numbers of images"


def _shards_of(split: str, plan: dict[str, Any]) -> int:
    return sum(name.startswith(f"{split}-") for name in plan.get("images", ()))


def check_shards(sharding: Sharding, folder: Path, advance: Callable[[int], None]) -> None:
    """Check that complete shards hold what would be written, byte for byte.

    Raises:
        SettingsError: they do not; the message names the first difference.
    """
    with system_errors(folder):
        about = json.loads((folder / SHARDS).read_bytes())
        _check_plan(folder, about, sharding.plan)
        for shard in sharding.shards:
            path = folder / shard.name
            if not path.exists() or file_crc32(path) != about["checksums"][shard.name]:
                raise SettingsError(f"{path}: missing or damaged; {AGAIN}")
            advance(len(shard.rows))


def _check_classes(manifest: Manifest) -> None:
    for name in manifest.classes:
        if "\n" in name:
            raise SettingsError(
                f"class {printable(name)}: {CLASSES} has one name per line; rename the class"
            )
