"""The folders that Keras lists for `keras_directory`, and what it makes of them."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from feedbench.loaders.contract import Request
from feedbench.loaders.files import read_file
from feedbench.loaders.images.tensorflow import Decoding
from feedbench.loaders.images.tensorflow_finish import to_bytes
from feedbench.loaders.images.tensorflow_resize import resizer
from feedbench.loaders.keras_listing import keras_dataset, shuffled
from feedbench.loaders.keras_padding import too_long
from feedbench.loaders.order import Rows
from feedbench.loaders.splits import SPLIT_NAMES
from feedbench.loaders.tf_stream import unreadable

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True)
class Listing:
    """Keras' dataset of some files, and their rows through the same shuffle.

    Attributes:
        dataset: elements `(images, labels)`, one per batch.
        rows: the slots of the same images, one element per batch.
        rows_again: a second copy of `rows`, to look up what has been delivered.
        slots: each file's slot.
    """

    dataset: tf.data.Dataset
    rows: tf.data.Dataset
    rows_again: tf.data.Dataset
    slots: Rows


class Folders:
    """The folders that Keras lists: the user's own, or one with links to some of its files.

    A slot is a place among the files to list. There is one per row, with the same number. Its link
    leads to the row's file, to a conversion of it if Keras would decode another image, or to
    another row's file if it cannot be read.
    """

    def __init__(self, request: Request, folder: Path) -> None:
        self.manifest = request.manifest
        self.faults = request.faults
        self.decoding = Decoding(request.manifest, request.spec)
        self._spec = request.spec
        self._resize = resizer(request.spec)
        self._too_long = too_long(request.manifest, request.spec)
        self._folder = folder
        self._listings = 0
        self._row_of_slot = np.arange(len(self.manifest))
        for row in self.faults.dropped:
            self.drop(row)

    def rows(self, slots: Rows) -> Rows:
        """The row in each of these slots."""
        return self._row_of_slot[slots]

    def drop(self, row: int) -> None:
        """Put the next readable row into all slots that hold this one."""
        following = np.roll(np.arange(len(self.manifest)), -row - 1)
        readable = following[~np.isin(following, list(self.faults.dropped))]
        self._row_of_slot[self._row_of_slot == row] = readable[0]

    def listing(self, slots: Rows | None) -> Listing:
        """Keras' dataset of some slots; None for all."""
        if slots is not None:
            return self._list_links(slots)
        return self._list_own_folder() or self._list_links(np.arange(len(self.manifest)))

    def _list_own_folder(self) -> Listing | None:
        """All rows from the user's folder, if it holds them as they are and nothing else."""
        folder = self._own_folder()
        as_they_are = self.decoding.decode_paths is None and not self._too_long.any()
        if folder is None or not as_they_are or self.faults.dropped:
            return None
        paths = [os.fsdecode(path) for path in self.manifest.paths(self._row_of_slot)]
        slots = {path: slot for slot, path in enumerate(paths)}
        dataset = keras_dataset(folder, self._spec)
        return self._to_listing(dataset, slots) if set(dataset.file_paths) == slots.keys() else None

    def _own_folder(self) -> Path | None:
        """The manifest's root, or the folder of its only split; None if it has excluded rows."""
        manifest = self.manifest
        if manifest.layout == "folder":
            return None if manifest.left else manifest.root
        splits = np.unique(manifest.splits)
        first = manifest.root / Path(manifest.path(0)).relative_to(manifest.root).parts[0]
        return first if len(splits) == 1 and SPLIT_NAMES[first.name] == splits[0] else None

    def _list_links(self, slots: Rows) -> Listing:
        """Some slots, from a new folder of links."""
        self._listings += 1
        folder = self._folder / str(self._listings)
        for name in self.manifest.classes:
            (folder / name).mkdir(parents=True)
        width = len(str(len(self.manifest)))
        slot_of_path = {}
        for slot in slots.tolist():
            name = self.manifest.classes[self.manifest.labels[slot]]
            # Keras goes by the extension, TensorFlow by what is in the file.
            link = folder / name / f"{slot:0{width}}.jpg"
            link.symlink_to(self._target(slot))
            slot_of_path[str(link)] = slot
        return self._to_listing(keras_dataset(folder, self._spec), slot_of_path)

    def _target(self, slot: int) -> Path:
        """The file that a slot's link leads to, converted if needed."""
        while True:
            row = int(self._row_of_slot[slot])
            path = Path(self.manifest.path(row))
            codes = self.decoding.decode_paths
            code = 0 if codes is None else int(codes[row])
            if not code and not self._too_long[row]:
                return path
            converted = self._folder / f"{row}.png"
            if converted.exists() or self._convert(path, row, code, converted):
                return converted
            self.drop(row)

    def _convert(self, path: Path, row: int, decode_path: int, converted: Path) -> bool:
        """Decode a file and save it as PNG; False if it cannot be read."""
        from PIL import Image

        for fault in unreadable(np.array([row]), self.manifest, self.decoding):
            self.faults.add(fault)
            return False
        pixels = self.decoding(read_file(str(path)), decode_path)
        if self._too_long[row]:
            pixels = to_bytes(self._resize(pixels))
        Image.fromarray(np.asarray(pixels)).save(converted, compress_level=1)
        return True

    def _to_listing(self, dataset: tf.data.Dataset, slot_of_path: dict[str, int]) -> Listing:
        slots = np.array([slot_of_path[path] for path in dataset.file_paths], np.int64)
        # Both at once: TensorFlow seeds a shuffle when it is created, by a global seed too.
        return Listing(dataset, shuffled(slots, self._spec), shuffled(slots, self._spec), slots)
