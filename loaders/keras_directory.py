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
from loaders.manifest import Manifest
from loaders.order import Order, Rows
from loaders.source import SPLIT_NAMES
from loaders.tf_image import decoder, mirrored, resizer, to_range
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
        dataset, row_of = _listed(manifest, spec, stack)
        rows = np.array([row_of[path] for path in dataset.file_paths], np.int64)
        pairs = tf.data.Dataset.zip((dataset, _in_same_order(rows, spec)))
        pairs = _finished(pairs, len(rows), spec, order)
        decode, resize = decoder("image", spec), resizer(spec)

        def picture(data: Any) -> Any:
            return resize(decode(data))

        # Keras reads ahead in an order of its own: any row may be the one that failed.
        stream = batches(pairs, manifest, picture, lambda given: [rows])
        return Stream(stream, stack.pop_all().close, _left_out(manifest, rows))


def _listed(
    manifest: Manifest, spec: BatchSpec, stack: ExitStack
) -> tuple[tf.data.Dataset, dict[str, int]]:
    """Keras' data set of the manifest's files and no others; the row of each path in it."""
    paths = [os.fsdecode(path) for path in manifest.paths(np.arange(len(manifest)))]
    whole = _whole_folder(manifest, paths[0])
    if whole is not None:
        rows = {path: row for row, path in enumerate(paths)}
        dataset = _dataset(whole, spec)
        # Hidden files and newer ones are not in the manifest, but Keras lists them too.
        if all(path in rows for path in dataset.file_paths):
            return dataset, rows
    part = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    links = _link(manifest, paths, part)
    return _dataset(part, spec), {path: row for row, path in enumerate(links)}


def _whole_folder(manifest: Manifest, path: str) -> Path | None:
    """Where the manifest is all that there is: its root, or the folder of its one split."""
    if manifest.layout == "folder":
        return None if manifest.left else manifest.root
    splits = np.unique(manifest.splits)
    first = manifest.root / Path(path).relative_to(manifest.root).parts[0]
    return first if len(splits) == 1 and SPLIT_NAMES[first.name] == splits[0] else None


def _link(manifest: Manifest, paths: list[str], folder: Path) -> list[str]:
    """A part of a folder as a folder of links, since Keras can only read whole folders."""
    for name in manifest.classes:
        (folder / name).mkdir()
    width = len(str(len(manifest)))
    links = []
    for row, (path, label) in enumerate(zip(paths, manifest.labels, strict=True)):
        link = folder / manifest.classes[label] / f"{row:0{width}}{Path(path).suffix}"
        link.symlink_to(path)
        links.append(str(link))
    return links


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
