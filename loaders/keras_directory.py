"""What a newcomer takes: Keras' `image_dataset_from_directory`, in its own order."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from feedbench.loaders.augment import NEUTRAL
from feedbench.loaders.capabilities import LibraryCall
from feedbench.loaders.contract import Batch, BatchSpec, Loader, Settings, Stream
from feedbench.loaders.errors import LoaderError, SourceError, SpecError
from feedbench.loaders.faults import Faults
from feedbench.loaders.images.library_call import decode_image, only_listed
from feedbench.loaders.images.pillow import tensorflow_words
from feedbench.loaders.images.tensorflow import Decoding, changed, to_range
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Order, Rows
from feedbench.loaders.source import SPLIT_NAMES
from feedbench.loaders.stages.stage import Stages, whole_files
from feedbench.loaders.stages.tensorflow import TensorFlowWork
from feedbench.loaders.tf_stream import unreadable

if TYPE_CHECKING:
    import tensorflow as tf

EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")  # what Keras lists; it passes over others


class KerasDirectory(Settings):
    """`keras_directory` has no knobs: Keras sets them all."""


def open_stream(
    manifest: Manifest, spec: BatchSpec, settings: KerasDirectory, order: Order, faults: Faults
) -> Stream:
    """Epochs in Keras' own shuffle, each row once an epoch, each epoch's last batch maybe short.

    Raises:
        SourceError: the source is a CSV, or Keras lists none of its files.
        SpecError: the spec asks for antialiasing or balance, which Keras' function has not.
        LoaderError: a file that has to be converted cannot be read.
    """
    if manifest.layout not in LOADER.layouts:
        raise SourceError("keras_directory reads a folder a class, got a CSV; take another loader")
    if spec.balance:
        raise SpecError(
            "keras_directory cannot balance: Keras lists each file once; set balance=0 or take "
            "another loader"
        )
    if spec.antialias:
        raise SpecError("keras_directory cannot antialias; set antialias=false or leave it out")
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        epochs = _Epochs(_Folders(manifest, spec, faults, folder), order)
        return Stream(epochs.batches(), stack.pop_all().close, faults)


@dataclass(frozen=True)
class _Listing:
    """Keras' data set of some files, and their rows through the very shuffle that Keras does.

    Attributes:
        dataset: elements `(images, labels)`, one a batch.
        rows: elements of rows, one a batch, of the same images.
        again: the same once more, to look up what has been given.
        slots: each file's row.
    """

    dataset: tf.data.Dataset
    rows: tf.data.Dataset
    again: tf.data.Dataset
    slots: Rows


class _Folders:
    """What Keras is given to list: the user's folder, or one of links to a part of it.

    A link leads to the file as it is, or to its conversion where Keras would show another picture,
    or to another image where the file cannot be read.
    """

    def __init__(self, manifest: Manifest, spec: BatchSpec, faults: Faults, folder: Path) -> None:
        self.manifest = manifest
        self.spec = spec
        self.faults = faults
        self.decoding = Decoding(manifest, spec)
        self._folder = folder
        self._made = 0
        self._instead = np.arange(len(manifest))
        for row in faults.dropped:
            self.drop(row)

    def rows(self, slots: Rows) -> Rows:
        """The row that is given in the place of each."""
        return self._instead[slots]

    def drop(self, row: int) -> None:
        """Give the next row wherever this one was to be given."""
        after = np.roll(np.arange(len(self.manifest)), -row - 1)
        able = after[~np.isin(after, list(self.faults.dropped))]
        self._instead[self._instead == row] = able[0]

    def whole(self) -> _Listing:
        """All rows; in the user's own folder if that holds them and nothing else."""
        folder = self._own_folder() if self.decoding.hows is None else None
        if folder is not None and not self.faults.dropped:
            paths = [os.fsdecode(path) for path in self.manifest.paths(self._instead)]
            rows = {path: row for row, path in enumerate(paths)}
            dataset = _dataset(folder, self.spec)
            if set(dataset.file_paths) == rows.keys():
                return self._listing(dataset, rows)
        return self.part(np.arange(len(self.manifest)))

    def part(self, slots: Rows) -> _Listing:
        """Some rows."""
        self._made += 1
        folder = self._folder / str(self._made)
        for name in self.manifest.classes:
            (folder / name).mkdir(parents=True)
        width = len(str(len(self.manifest)))
        rows = {}
        for slot in slots.tolist():
            name = self.manifest.classes[self.manifest.labels[slot]]
            # TensorFlow looks at what a file is, Keras at what it is called.
            link = folder / name / f"{slot:0{width}}.jpg"
            link.symlink_to(self._source(slot))
            rows[str(link)] = slot
        return self._listing(_dataset(folder, self.spec), rows)

    def _source(self, slot: int) -> Path:
        while True:
            row = int(self._instead[slot])
            path = Path(self.manifest.path(row))
            if self.decoding.hows is None or not self.decoding.hows[row]:
                return path
            made = self._folder / f"{row}.png"
            if made.exists() or self._convert(path, row, made):
                return made
            self.drop(row)

    def _convert(self, path: Path, row: int, made: Path) -> bool:
        from PIL import Image

        for fault in unreadable(np.array([row]), self.manifest, self.decoding):
            self.faults.meet(fault)
            return False
        pixels = self.decoding(path.read_bytes(), self.decoding.hows[row])  # type: ignore[index]
        Image.fromarray(np.asarray(pixels)).save(made, compress_level=1)
        return True

    def _own_folder(self) -> Path | None:
        """Where the manifest is all that there is: its root, or the folder of its one split."""
        manifest = self.manifest
        if manifest.layout == "folder":
            return None if manifest.left else manifest.root
        splits = np.unique(manifest.splits)
        first = manifest.root / Path(manifest.path(0)).relative_to(manifest.root).parts[0]
        return first if len(splits) == 1 and SPLIT_NAMES[first.name] == splits[0] else None

    def _listing(self, dataset: tf.data.Dataset, rows: dict[str, int]) -> _Listing:
        slots = np.array([rows[path] for path in dataset.file_paths], np.int64)
        # All at once: TensorFlow's shuffles are seeded when they are made, by a global seed too.
        return _Listing(dataset, _shuffled(slots, self.spec), _shuffled(slots, self.spec), slots)


@dataclass(frozen=True)
class _Part:
    """Some epochs of some rows.

    Attributes:
        slots: rows of each epoch; None for all.
        epoch: number of the first.
        epochs: how many; None without end.
        skip: batches to leave out at the beginning.
    """

    slots: Rows | None
    epoch: int
    epochs: int | None
    skip: int = 0


class _Epochs:
    """The batches of all epochs; an epoch in which a file failed goes on with what is left of it.

    A dataset cannot go on after an error: what it had taken of the batch is lost.
    """

    def __init__(self, folders: _Folders, order: Order) -> None:
        self._folders = folders
        self._order = order
        self._parts = [_Part(None, 0, order.epochs, order.start_step)]
        self._first = folders.whole()

    def batches(self) -> Iterator[Batch]:
        """Until the last epoch ends.

        Raises:
            LoaderError: a file cannot be read, and may not be dropped.
        """
        import tensorflow as tf

        listing, folders = self._first, self._folders
        while self._parts:
            part = self._parts.pop(0)
            given = part.skip
            try:
                for images, slots, draws in self._pairs(listing, part):
                    rows = folders.rows(slots.numpy())
                    changes = folders.spec.augment.for_device(
                        draws.numpy(), folders.spec.image_size
                    )
                    given += 1
                    yield Batch(images, folders.manifest.labels[rows], rows, changes)
            except tf.errors.OpError as error:
                seen, following = self._around(listing, given)
                self._drop_failed(np.unique(folders.rows(following)), given, error)
                self._parts = [*self._what_is_left(listing, part, given, seen), *self._parts]
            if self._parts:
                slots = self._parts[0].slots
                listing = folders.whole() if slots is None else folders.part(slots)

    def _pairs(self, listing: _Listing, part: _Part) -> tf.data.Dataset:
        """Elements `(images, slots, draws)` of a part, changed as drawn and in range."""
        import tensorflow as tf

        an_epoch = self._batches_an_epoch(listing)

        def finished(number: Any, pair: Any) -> Any:
            (pixels, _), slots = pair
            drawn = [part.epoch + number // an_epoch, slots]
            draws = tf.numpy_function(draws_of, drawn, tf.float32)
            draws = tf.ensure_shape(draws, [None, len(NEUTRAL)])
            pixels = changed(pixels, draws, self._folders.spec)
            return to_range(pixels, self._folders.spec), slots, draws

        def draws_of(epoch: Any, slots: Rows) -> Any:
            return self._order.draws_of(epoch, self._folders.rows(slots))

        pairs = tf.data.Dataset.zip((listing.dataset, listing.rows))
        numbered = pairs.repeat(-1 if part.epochs is None else part.epochs).enumerate()
        mapped = numbered.skip(part.skip).map(finished, num_parallel_calls=tf.data.AUTOTUNE)
        return mapped.prefetch(tf.data.AUTOTUNE)

    def _batches_an_epoch(self, listing: _Listing) -> int:
        return -(-len(listing.slots) // self._order.batch_size)

    def _drop_failed(self, suspects: Rows, given: int, error: Any) -> None:
        folders = self._folders
        failed = unreadable(suspects, folders.manifest, folders.decoding)
        if not failed:
            raise LoaderError(f"TensorFlow: {tensorflow_words(error)}; batch {given}") from error
        for fault in failed:
            folders.faults.meet(fault)
        for fault in failed:
            folders.drop(fault.row)

    def _around(self, listing: _Listing, given: int) -> tuple[Rows, Rows]:
        """What the epoch under way has given so far, and what the next batch is to give.

        Keras shuffles before it reads, so what failed is in that batch. To be asked once: a
        shuffled dataset gives another order to each iterator.
        """
        into = given % self._batches_an_epoch(listing)
        batches = listing.again.repeat().skip(given - into).take(into + 1)
        *before, following = (batch.numpy() for batch in batches)
        return np.concatenate([np.empty(0, np.int64), *before]), following

    def _what_is_left(self, listing: _Listing, part: _Part, given: int, seen: Rows) -> list[_Part]:
        done = given // self._batches_an_epoch(listing)
        left = [_Part(np.setdiff1d(listing.slots, seen), part.epoch + done, 1)]
        if part.epochs is None or part.epochs > done + 1:
            epochs = None if part.epochs is None else part.epochs - done - 1
            left.append(_Part(None, part.epoch + done + 1, epochs))
        return left


def _dataset(folder: Path, spec: BatchSpec) -> tf.data.Dataset:
    from keras.utils import image_dataset_from_directory

    try:
        return image_dataset_from_directory(
            folder,
            batch_size=spec.batch_size,
            image_size=(spec.image_size, spec.image_size),
            shuffle=spec.shuffle,
            seed=spec.seed,
            interpolation=spec.interpolation,
            crop_to_aspect_ratio=spec.resize == "crop",
            pad_to_aspect_ratio=spec.resize == "pad",
            verbose=False,
        )
    except ValueError as error:
        raise SourceError(f"{folder}: keras_directory: {str(error).splitlines()[0]}") from error


def _shuffled(slots: Rows, spec: BatchSpec) -> tf.data.Dataset:
    """Rows through the very shuffle and batching that Keras puts its paths through."""
    import tensorflow as tf

    listed = tf.data.Dataset.from_tensor_slices(slots)
    if spec.shuffle:
        listed = listed.shuffle(buffer_size=spec.batch_size * 8, seed=spec.seed)
    return listed.batch(spec.batch_size)


def _stages(manifest: Manifest, spec: BatchSpec, settings: KerasDirectory) -> Stages:
    work = TensorFlowWork(manifest, spec, "image", settings.image_dtype)
    return Stages(whole_files(manifest), work.decode, work.transform, work.assemble)


def _library_call(manifest: Manifest) -> LibraryCall:
    return only_listed(decode_image(manifest), manifest, EXTENSIONS)


LOADER = Loader(
    name="keras_directory",
    summary="Keras' image_dataset_from_directory as its guide calls it: what a newcomer takes",
    settings=KerasDirectory,
    open=open_stream,
    layouts=("folder", "splits"),
    readable_by=("pillow", "tensorflow"),  # what TensorFlow cannot read goes to Pillow
    follows_order=False,
    stages=_stages,
    library_call=_library_call,
)
