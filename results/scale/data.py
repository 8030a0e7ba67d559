"""Data for `measure.py`: folders of very many images.

`linked` gives millions of names: each class is a link to one of four folders of real files, so
that every row of a listing has a name of its own and can be read. What the system keeps per file
(inodes, pages) is therefore small; `files` makes as many real files as it is asked for.
"""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import simplejpeg

from feedbench.loaders import Manifest
from feedbench.loaders.audit import ProbeLimits, Store
from feedbench.loaders.audit.store import FACTS

_SHARES = (0.4, 0.8, 1.2, 1.6)  # sizes of the classes' folders, relative to the mean
_SIDE = 32


def linked(folder: Path, rows: int, classes: int) -> Path:
    """A folder with this many classes, and about this many images in all."""
    pools = [folder / "pools" / str(number) for number in range(len(_SHARES))]
    for pool, share in zip(pools, _SHARES, strict=True):
        _images(pool, round(rows / classes * share))
    root = folder / "links"
    root.mkdir()
    for number in range(classes):
        (root / f"n{number:08}").symlink_to(pools[number % len(pools)])
    return root


def files(folder: Path, rows: int, classes: int) -> Path:
    """A folder of so many real files."""
    root = folder / "files"
    for number in range(classes):
        _images(root / f"n{number:08}", rows // classes)
    return root


def _images(folder: Path, count: int) -> None:
    """Write small JPEGs, each with other pixels."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(count)
    for number in range(count):
        pixels = random.integers(0, 256, (_SIDE // 8, _SIDE // 8, 3), np.uint8)
        pixels = np.ascontiguousarray(pixels.repeat(8, 0).repeat(8, 1))
        data = simplejpeg.encode_jpeg(pixels, 85)
        (folder / f"n{number:08}_{number:06}.JPEG").write_bytes(data)


def known(root: Path, manifest: Manifest) -> None:
    """Store facts of all files as a scan does that has decoded each of them."""
    store = Store.of(root)
    store.begin(ProbeLimits())
    images, names = len(manifest), manifest.table["path"]
    stamps = _stamps(manifest)
    digests = np.zeros((images, 2), np.int64)
    digests[:, 0] = np.arange(images)
    columns = {
        "path": names,
        "bytes": stamps[:, 0],
        "modified_ns": stamps[:, 1],
        "digest": pa.FixedSizeBinaryArray.from_buffers(
            pa.binary(16), images, [None, pa.py_buffer(digests.tobytes())]
        ),
        "format": _same("JPEG", images),
        "width": np.full(images, _SIDE, np.int32),
        "height": np.full(images, _SIDE, np.int32),
        "mode": _same("RGB", images),
        "bits": np.full(images, 8, np.int8),
        "alpha": np.zeros(images, np.bool_),
        "orientation": np.ones(images, np.int8),
        "frames": np.ones(images, np.int32),
        "pillow": pa.nulls(images, pa.string()),
        "tensorflow": pa.nulls(images, pa.string()),
        "same_pixels": np.ones(images, np.bool_),
    }
    pq.write_table(pa.table(columns, schema=FACTS), store.folder / "facts.parquet")


def _stamps(manifest: Manifest) -> np.ndarray:
    """Size and time of each row's file, int64 `[rows, 2]`; each real file is looked at once."""
    stamps = np.zeros((len(manifest), 2), np.int64)
    seen: dict[Path, tuple[int, int]] = {}
    ends = np.cumsum(np.bincount(manifest.labels, minlength=len(manifest.classes)))
    order = np.argsort(manifest.labels, kind="stable")
    for rows in np.split(order, ends[:-1]):
        folder = Path(manifest.path(int(rows[0]))).parent.resolve()
        for row in rows.tolist():
            path = folder / manifest.name(row).decode().rpartition("/")[2]
            if path not in seen:
                status = path.stat()
                seen[path] = (status.st_size, status.st_mtime_ns)
            stamps[row] = seen[path]
    return stamps


def _same(text: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), [text]).cast(pa.string())
