"""What a newcomer takes: Keras' `image_dataset_from_directory`, in its own order."""

from __future__ import annotations

import os
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from loaders.contract import BatchSpec, Loader, Settings, Stream
from loaders.errors import SourceError, SpecError
from loaders.manifest import SPLITS, Manifest
from loaders.order import Order, Rows
from loaders.tf_image import decoder, mirrored, to_range
from loaders.tf_stream import batches

if TYPE_CHECKING:
    import tensorflow as tf


class KerasDirectory(Settings):
    """`keras_directory` has no knobs: Keras sets them all."""


def open_stream(
    manifest: Manifest, spec: BatchSpec, settings: KerasDirectory, order: Order
) -> Stream:
    """Epochs in Keras' own shuffle, each row once an epoch, each epoch's last batch maybe short.

    Raises:
        SourceError: the source is a CSV, or Keras lists none of its files.
        SpecError: the spec asks for antialiasing, which Keras' function has not.
    """
    import tensorflow as tf

    if manifest.layout == "csv":
        raise SourceError("keras_directory reads a folder a class, got a CSV; take another loader")
    if spec.antialias:
        raise SpecError("keras_directory cannot antialias; set antialias=false or leave it out")
    with ExitStack() as stack:
        folder = _folder(manifest, stack)
        dataset = _dataset(folder, spec)
        rows = _rows_of(manifest, folder, dataset.file_paths)
        pairs = tf.data.Dataset.zip((dataset, _in_same_order(rows, spec)))
        pairs = _finished(pairs, len(rows), spec, order)
        # Keras reads ahead in an order of its own: any row may be the one that failed.
        stream = batches(pairs, manifest, decoder("image", spec), lambda given: [rows])
        return Stream(stream, stack.pop_all().close, _left_out(manifest, rows))


def _folder(manifest: Manifest, stack: ExitStack) -> Path:
    """The folder whose classes hold the manifest's rows and no others."""
    if manifest.layout == "folder" and not manifest.left:
        return manifest.root
    if manifest.layout == "splits" and (folder := _split_folder(manifest)):
        return folder
    return _links(manifest, Path(stack.enter_context(tempfile.TemporaryDirectory())))


def _split_folder(manifest: Manifest) -> Path | None:
    splits = np.unique(manifest.splits)
    first = manifest.root / Path(os.path.relpath(manifest.path(0), manifest.root)).parts[0]
    return first if len(splits) == 1 and first.name.startswith(SPLITS[splits[0]][:3]) else None


def _links(manifest: Manifest, folder: Path) -> Path:
    """A part of a folder as a folder of links, since Keras can only read whole folders."""
    for label in manifest.classes:
        (folder / label).mkdir()
    width = len(str(len(manifest)))
    for row, label in enumerate(manifest.labels):
        path = Path(manifest.path(row))
        (folder / manifest.classes[label] / f"{row:0{width}}{path.suffix}").symlink_to(path)
    return folder


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


def _rows_of(manifest: Manifest, folder: Path, paths: list[str]) -> Rows:
    """The manifest's row of each file that Keras listed."""
    rows = {
        os.fsdecode(path): row for row, path in enumerate(manifest.paths(np.arange(len(manifest))))
    }
    if folder.is_relative_to(manifest.root):
        return np.array([rows[path] for path in paths], np.int64)
    return np.array([int(Path(path).stem) for path in paths], np.int64)


def _in_same_order(rows: Rows, spec: BatchSpec) -> tf.data.Dataset:
    """Rows through the very shuffle and batching that Keras puts its paths through."""
    import tensorflow as tf

    listed = tf.data.Dataset.from_tensor_slices(rows)
    if spec.shuffle:
        listed = listed.shuffle(buffer_size=spec.batch_size * 8, seed=spec.seed)
    return listed.batch(spec.batch_size)


def _left_out(manifest: Manifest, rows: Rows) -> tuple[str, ...]:
    missing = np.setdiff1d(np.arange(len(manifest)), rows)
    return tuple(os.fsdecode(path) for path in manifest.paths(missing))


def _finished(
    pairs: tf.data.Dataset, images: int, spec: BatchSpec, order: Order
) -> tf.data.Dataset:
    """Elements `(images, rows)` of all epochs, in range and mirrored."""
    import tensorflow as tf

    an_epoch = -(-images // spec.batch_size)

    def finished(number: Any, pair: Any) -> Any:
        (pixels, _), rows = pair
        pixels = to_range(pixels, spec)
        if not order.flip:
            return pixels, rows
        flips = tf.numpy_function(order.flips_of, [number // an_epoch, rows], tf.bool)
        return mirrored(pixels, tf.ensure_shape(flips, [None])), rows

    epochs = -1 if order.epochs is None else order.epochs
    numbered = pairs.repeat(epochs).enumerate().skip(order.start_step)
    return numbered.map(finished, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


LOADER = Loader(
    name="keras_directory",
    summary="Keras' image_dataset_from_directory as its guide calls it: what a newcomer takes",
    settings=KerasDirectory,
    open=open_stream,
    follows_order=False,
)
