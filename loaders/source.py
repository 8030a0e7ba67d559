"""From a folder, a CSV, shards or a Parquet file to a manifest."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pc_csv
from numpy.typing import NDArray

from feedbench.loaders.containers.listing import scan_shards
from feedbench.loaders.containers.parquet import has_images
from feedbench.loaders.containers.shards import is_pattern
from feedbench.loaders.errors import SourceError, printable
from feedbench.loaders.litter import is_litter
from feedbench.loaders.manifest import PATH, SCHEMA, SPLITS, Manifest, chunk
from feedbench.loaders.remote.listing import ClassFolder, folders_in, rows_of, stated
from feedbench.loaders.remote.path import RemotePath, source_path
from feedbench.loaders.sampling import rows_by_class
from feedbench.loaders.signature import format_of
from feedbench.loaders.splits import SPLIT_NAMES, UNKNOWN_SPLIT

_CHECKS = 16  # threads that look for the files of a CSV: a network answers late
_CHUNK = 1024  # files that a thread looks for at a time
_PHOTO_EXTENSIONS = (b".jpg", b".jpeg", b".png", b".gif", b".bmp", b".webp")


def scan(
    source: str | Path,
    *,
    seed: int = 0,
    validation: float = 0.1,
    test: float = 0.1,
    on_listed: Callable[[int], None] = lambda count: None,
) -> Manifest:
    """List the images of a source, sorted by class and path.

    Files are listed, not opened, with any extension. Hidden files (a leading dot), `__MACOSX`,
    `Thumbs.db` and `desktop.ini` are skipped, and so are links to a parent folder.

    Args:
        source: a folder with one folder per class; a folder with train, validation and test
            folders of classes; a CSV with `path,label[,split]`, its paths relative to its own
            folder; a zip of class folders; tar, TFRecord, Arrow or Parquet files, a folder of
            them, or a pattern such as `shards/train-*.tar`; or a manifest. Folders of classes and
            shards may also be in object storage: `s3://BUCKET/PREFIX`, `gs://BUCKET/PREFIX`.
        seed: seed for the choice of held-out images if the source has no splits.
        validation: fraction of each class to hold out for validation if it has no splits.
        test: fraction of each class to hold out for testing if it has no splits.
        on_listed: called with the number of objects listed since the last call.

    Raises:
        SourceError: it cannot be read, or a class or a split is empty; the message names it.
    """
    for name, fraction in (("validation", validation), ("test", test)):
        if not 0 <= fraction < 1:
            raise SourceError(f"{name} must be at least 0 and below 1, got {fraction}")
    path = source_path(source).absolute()
    with stated(path) if isinstance(path, RemotePath) else nullcontext():
        if path.suffix == ".parquet" and path.is_file() and not has_images(path):
            return Manifest.read(path)
        manifest = scan_shards(path) or _scan_files(path, on_listed)
    if (manifest.splits == UNKNOWN_SPLIT).all():
        return _with_splits(manifest, seed, validation, test)
    return manifest


def _scan_files(path: Path, on_listed: Callable[[int], None]) -> Manifest:
    if not path.exists():
        if is_pattern(path):
            raise SourceError(f"{path}: no shard matches this pattern")
        if isinstance(path, RemotePath):
            raise SourceError(
                f"{path}: no object has this name or this prefix; name a prefix with one folder "
                "per class, or shards"
            )
        raise SourceError(
            f"{path}: no such folder or file; name a folder of classes, a CSV, shards or a "
            "Parquet manifest"
        )
    if path.is_dir():
        return _scan_folder(path, on_listed)
    if isinstance(path, RemotePath):
        raise SourceError(
            f"{path}: an object that is no shard; name a prefix with one folder per class, or "
            "shards"
        )
    return _scan_csv(path)


def _scan_folder(root: Path, on_listed: Callable[[int], None]) -> Manifest:
    folders = _subfolders(root)
    if not folders:
        raise SourceError(f"{root}: contains no folders; put the images into one folder per class")
    if all(name in SPLIT_NAMES for name in folders) and any(map(_is_train, folders)):
        return _scan_splits(root, folders, on_listed)
    found = [ClassFolder(name, label, UNKNOWN_SPLIT) for label, name in enumerate(folders)]
    return _manifest(_rows(root, found, on_listed), folders, root, "folder")


def _scan_splits(root: Path, splits: list[str], on_listed: Callable[[int], None]) -> Manifest:
    train = root / next(filter(_is_train, splits))
    classes = _subfolders(train)
    labels = {name: label for label, name in enumerate(classes)}
    if not classes:
        raise SourceError(f"{train}: contains no folders; put the images into one folder per class")
    found = []
    for split in sorted(splits, key=lambda name: SPLIT_NAMES[name]):
        for name in _subfolders(root / split):
            if name not in labels:
                raise SourceError(
                    f"{root / split / name}: class {name!r} is not in "
                    f"{train}; add it there or remove it here"
                )
            found.append(ClassFolder(f"{split}/{name}", labels[name], SPLIT_NAMES[split]))
    return _manifest(_rows(root, found, on_listed), classes, root, "splits")


def _rows(
    root: Path, folders: list[ClassFolder], on_listed: Callable[[int], None]
) -> list[pa.RecordBatch]:
    """The rows of each folder."""
    if isinstance(root, RemotePath):
        batches = rows_of(root, folders, on_listed)
        for batch, folder in zip(batches, folders, strict=True):
            _check_images(root, folder, batch)
        return batches
    return [_class_rows(root, folder) for folder in folders]


def _class_rows(root: Path, folder: ClassFolder) -> pa.RecordBatch:
    files = _files(os.fsencode(root), os.fsencode(folder.name))
    rows = chunk(files, folder.label, folder.split)
    _check_images(root, folder, rows)
    return rows


def _check_images(root: Path, folder: ClassFolder, rows: pa.RecordBatch) -> None:
    if not rows.num_rows:
        raise SourceError(
            f"{root / folder.name}: no images in this class; add some or remove the folder"
        )


def _is_train(name: str) -> bool:
    return SPLIT_NAMES[name] == 0


def _subfolders(folder: Path) -> list[str]:
    if isinstance(folder, RemotePath):
        return folders_in(folder)
    entries = _entries(os.fsencode(folder))
    folders = (entry for entry in entries if _leads_to(entry.is_dir))
    return sorted(os.fsdecode(one.name) for one in folders if not _leads_up(one, folder))


def _files(root: bytes, folder: bytes) -> Iterator[bytes]:
    """Paths below a folder relative to the root; each folder's files come before its folders."""
    entries = sorted(_entries(os.path.join(root, folder)), key=lambda entry: entry.name)
    # Links to folders are skipped: one to a folder further up would never end.
    inner = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
    files = (entry for entry in entries if _leads_to(entry.is_file) or _is_lost(entry))
    yield from (folder + b"/" + entry.name for entry in files)
    for name in inner:
        within = list(_files(root, folder + b"/" + name))
        # An empty folder with the name of a photo is listed, so that the audit reports it.
        if not within and name.lower().endswith(_PHOTO_EXTENSIONS):
            within = [folder + b"/" + name]
        yield from within


def _is_lost(entry: os.DirEntry[bytes]) -> bool:
    """Whether a photo's name belongs to a broken link or a FIFO: listed, the audit reports it."""
    return entry.name.lower().endswith(_PHOTO_EXTENSIONS) and not _leads_to(entry.is_dir)


def _leads_to(kind: Callable[[], bool]) -> bool:
    """Whether an entry is of this kind; False for a link to nothing or to itself."""
    try:
        return kind()
    except OSError:
        return False


def _leads_up(entry: os.DirEntry[bytes], folder: Path) -> bool:
    """Whether a folder is a link to one that holds it: its images would come once more."""
    target = Path(os.fsdecode(os.path.realpath(entry.path)))
    return entry.is_symlink() and folder.resolve().is_relative_to(target)


def _entries(folder: bytes) -> list[os.DirEntry[bytes]]:
    try:
        with os.scandir(folder) as entries:
            return [entry for entry in entries if not is_litter(entry.name)]
    except OSError as error:
        raise SourceError(f"{os.fsdecode(folder)}: cannot be listed: {error.strerror}") from error


def _scan_csv(path: Path) -> Manifest:
    table = _read_csv(path)
    for column in ("path", "label"):
        if table.column_names.count(column) > 1:
            raise SourceError(f"{path}: column {column!r} exists twice; rename one")
        if column not in table.column_names:
            raise SourceError(f"{path}: no column {column!r}; {_columns(table)}")
    if not table.num_rows:
        raise SourceError(f"{path}: no rows; each image needs a row of path,label[,split]")
    for column in ("path", "label"):
        _refuse_first(path, column, pc.equal(table[column], ""), "is empty")
    labels = table["label"].combine_chunks().dictionary_encode()
    classes = sorted(labels.dictionary.to_pylist())
    rank_of = {name: rank for rank, name in enumerate(classes)}
    ranks = np.array([rank_of[name] for name in labels.dictionary.to_pylist()], np.int32)
    rows = pa.table(
        {
            "path": table["path"].cast(PATH),
            "label": ranks[labels.indices.to_numpy()],
            "split": _csv_splits(path, table),
        },
        schema=SCHEMA,
    )
    manifest = Manifest(_sorted(rows), tuple(classes), path.parent, "csv")
    _refuse_missing(path, manifest, rows)
    return manifest


def _columns(table: pa.Table) -> str:
    names = ", ".join(table.column_names)
    for separator, word in ((";", "semicolons"), ("\t", "tabs")):
        if separator in names:
            return f"its columns are separated by {word}; separate them by commas"
    return f"there are {printable(names)}"


def _refuse_other_files(path: Path) -> None:
    """State what a file is that cannot be a CSV, whose bytes a terminal should not see."""
    with path.open("rb") as file:
        begin = file.read(4096)
    if kind := format_of(begin):
        raise SourceError(f"{path}: this is an image ({kind}); give the folder above its class")
    if b"\0" in begin:
        raise SourceError(f"{path}: not a CSV of path,label[,split] in UTF-8; it has zero bytes")


def _read_csv(path: Path) -> pa.Table:
    convert = pc_csv.ConvertOptions(
        column_types={name: pa.string() for name in ("path", "label", "split")},
        strings_can_be_null=False,
    )
    try:
        _refuse_other_files(path)
        with path.open("rb") as file:
            table = pc_csv.read_csv(
                file,
                convert_options=convert,
                parse_options=pc_csv.ParseOptions(newlines_in_values=True),
            )
        table.column_names  # noqa: B018  raises if the header is not UTF-8
        return table
    except (OSError, pa.ArrowInvalid, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
        raise SourceError(
            f"{path}: not a CSV of path,label[,split]: {printable(reason)}"
        ) from error


def _csv_splits(path: Path, table: pa.Table) -> NDArray[np.int8]:
    if "split" not in table.column_names:
        return np.full(table.num_rows, UNKNOWN_SPLIT, np.int8)
    names = table["split"].combine_chunks().dictionary_encode()
    for name in names.dictionary.to_pylist():
        if name not in SPLIT_NAMES:
            known = ", ".join(SPLITS)
            _refuse_first(path, "split", pc.equal(table["split"], name), f"is not one of {known}")
    numbers = np.array([SPLIT_NAMES[name] for name in names.dictionary.to_pylist()], np.int8)
    splits: NDArray[np.int8] = numbers[names.indices.to_numpy()]
    return splits


def _refuse_first(path: Path, column: str, bad: pa.ChunkedArray, fault: str) -> None:
    row = pc.index(bad, True).as_py()
    if row >= 0:
        raise SourceError(f"{path}: row {row + 1}: {column} {fault}")


def _refuse_missing(path: Path, manifest: Manifest, rows: pa.Table) -> None:
    """Look for each file once, whatever number of rows of a class name it.

    Args:
        rows: in the order of the CSV.
    """
    root = os.fsencode(manifest.root)

    def missing(names: pa.Array) -> bytes | None:
        paths = names.to_pylist()
        return next((one for one in paths if not os.path.isfile(os.path.join(root, one))), None)

    names = _without_neighbours(manifest.table["path"])
    chunks = pa.table([names], ["path"]).to_batches(max_chunksize=_CHUNK)
    with ThreadPoolExecutor(_CHECKS) as threads:
        for name in threads.map(lambda chunk: missing(chunk.column(0)), chunks):
            if name is not None:
                threads.shutdown(wait=False, cancel_futures=True)
                row = pc.index(rows["path"], pa.scalar(name, PATH)).as_py()
                raise SourceError(
                    f"{path}: row {row + 1}: no file {printable(name)} in {manifest.root}"
                )


def _without_neighbours(names: pa.ChunkedArray) -> pa.ChunkedArray:
    """Sorted names without those that equal the one before; a table of all would be large."""
    if len(names) < 2:
        return names
    is_new = pc.not_equal(names.slice(1), names.slice(0, len(names) - 1))
    return names.filter(pa.chunked_array([pa.array([True]), *is_new.chunks]))


def _manifest(
    batches: list[pa.RecordBatch], classes: list[str], root: Path, layout: str
) -> Manifest:
    table = pa.Table.from_batches(batches, batches[0].schema).combine_chunks()
    return Manifest(table, tuple(classes), root, layout)  # type: ignore[arg-type]


def _sorted(rows: pa.Table) -> pa.Table:
    return rows.sort_by([("split", "ascending"), ("label", "ascending"), ("path", "ascending")])


def _with_splits(manifest: Manifest, seed: int, validation: float, test: float) -> Manifest:
    """Hold out the same fraction of each class; each keeps at least one image for training."""
    splits = np.zeros(len(manifest), np.int8)
    for label, rows in enumerate(rows_by_class(manifest.labels, len(manifest.classes))):
        shuffled = np.random.default_rng([seed, label]).permutation(rows)
        spare = len(rows) - 1
        for_validation = min(spare, round(len(rows) * validation))
        for_test = min(spare - for_validation, round(len(rows) * test))
        splits[shuffled[:for_validation]] = 1
        splits[shuffled[for_validation : for_validation + for_test]] = 2
    table = manifest.table.set_column(2, "split", pa.array(splits))
    return Manifest(table, manifest.classes, manifest.root, manifest.layout)
