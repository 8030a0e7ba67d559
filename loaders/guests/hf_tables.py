"""The images of a manifest as a data set of Hugging Face, and the position of each row in it."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.address import extent_of, name_of, shard_of
from feedbench.loaders.containers.arrow import list_arrow
from feedbench.loaders.containers.cached import cached
from feedbench.loaders.containers.columns import find_columns
from feedbench.loaders.containers.entries import Hints
from feedbench.loaders.containers.hints import read_hints
from feedbench.loaders.containers.parquet import list_parquet
from feedbench.loaders.errors import LoaderError, SourceError, printable
from feedbench.loaders.manifest import Manifest

IMAGE = "image"  # the only column of the data set
Positions = NDArray[np.int64]


def hf_dataset(manifest: Manifest, folder: str) -> tuple[Any, Positions]:
    """A `datasets.Dataset` whose column `image` holds the encoded images, and the rows' places.

    Args:
        folder: where Hugging Face writes the Arrow files that it makes of Parquet files.

    Raises:
        LoaderError: a file cannot be opened by Hugging Face.
    """
    import datasets

    datasets.disable_progress_bars()
    made = _of_shards(manifest, folder) if manifest.in_shards else _of_files(manifest)
    dataset, positions = made
    # Decoded by us, from the same bytes: an error then names its row.
    return dataset.cast_column(IMAGE, datasets.Image(decode=False)), positions


def _of_files(manifest: Manifest) -> tuple[Any, Positions]:
    """A column of paths, as the documentation makes an image data set of files."""
    import datasets

    rows = np.arange(len(manifest))
    names = []
    for path in manifest.paths(rows):
        try:
            names.append(path.decode())
        except UnicodeDecodeError as error:
            raise SourceError(
                f"{printable(path)}: hf_datasets takes names in UTF-8 only; rename the file, or "
                "use another loader"
            ) from error
    return datasets.Dataset.from_dict({IMAGE: names}), rows


def _of_shards(manifest: Manifest, folder: str) -> tuple[Any, Positions]:
    """All rows of the shards, one shard after the other."""
    import datasets

    members = _members(manifest)
    paths = [Path(os.fsdecode(shard)) for shard in sorted(members)]
    hints = read_hints(manifest.root, paths[0].parent)
    parts: list[Any] = []
    positions = np.empty(len(manifest), np.int64)
    begin = 0
    for path in paths:
        part = _opened(path, manifest.layout, hints, folder)
        places = _places(path, manifest.layout, hints, len(part))
        for row, member in members[os.fsencode(path)]:
            positions[row] = begin + places[member]
        begin += len(part)
        parts.append(part)
    return datasets.concatenate_datasets(parts), positions


def _members(manifest: Manifest) -> dict[bytes, list[tuple[int, bytes]]]:
    """The rows in each shard, with the names of their images there."""
    found: dict[bytes, list[tuple[int, bytes]]] = defaultdict(list)
    for row, address in enumerate(manifest.paths(np.arange(len(manifest)))):
        extent = extent_of(address)
        assert extent is not None
        shard = shard_of(address, extent)
        found[shard].append((row, name_of(address)[len(shard) + 1 :]))
    return found


def _opened(path: Path, layout: str, hints: Hints, folder: str) -> Any:
    """A shard as Hugging Face opens it: Arrow mapped into memory, Parquet converted to that."""
    from datasets import Dataset

    try:
        if layout == "arrow":
            dataset = Dataset.from_file(str(path))
        else:
            dataset = Dataset.from_parquet(str(path), cache_dir=folder)
    except Exception as error:  # of Arrow, or of the builder around it
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise LoaderError(
            f"{path}: hf_datasets cannot open it: {reason}; use another loader"
        ) from error
    column = find_columns(path, dataset.data.schema, hints).image
    dataset = dataset.select_columns([column])
    return dataset if column == IMAGE else dataset.rename_column(column, IMAGE)


def _places(path: Path, layout: str, hints: Hints, rows: int) -> dict[bytes, int]:
    """The number of each image in a shard, by its name there."""
    lister = list_arrow if layout == "arrow" else list_parquet
    members = cached(path, hints, lister).table["member"].to_pylist()
    if len(members) != rows:
        raise LoaderError(f"{path}: hf_datasets reads {rows:,} rows, the list has {len(members):,}")
    return {member: number for number, member in enumerate(members)}
