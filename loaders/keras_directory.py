"""keras_directory: Keras' `image_dataset_from_directory`, in its own order."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from feedbench.loaders.augment.draws import NEUTRAL
from feedbench.loaders.capabilities import WITH_DEFAULTS, LibraryCall
from feedbench.loaders.code.keras_directory import keras_directory_code
from feedbench.loaders.contract import Batch, BatchSpec, Loader, Request, Settings, Stream
from feedbench.loaders.errors import LoaderError, SourceError, SpecError
from feedbench.loaders.fifos import FifoWatch
from feedbench.loaders.images.library_call import decode_image, only_listed
from feedbench.loaders.images.pillow import tensorflow_message
from feedbench.loaders.images.tensorflow_finish import augment, to_range
from feedbench.loaders.keras_folders import Folders
from feedbench.loaders.keras_padding import long_images
from feedbench.loaders.manifest import Layout, Manifest
from feedbench.loaders.order import Rows
from feedbench.loaders.stages.stage import Stages
from feedbench.loaders.stages.tensorflow import tensorflow_stages
from feedbench.loaders.tf_stream import unreadable

if TYPE_CHECKING:
    import tensorflow as tf

_LAYOUTS: tuple[Layout, ...] = ("folder", "splits")
EXTENSIONS = (".bmp", ".gif", ".jpeg", ".jpg", ".png")  # files that Keras lists; it skips others


class KerasDirectory(Settings):
    """`keras_directory` has no settings."""


def open_stream(request: Request, settings: KerasDirectory) -> Stream:
    """Epochs in Keras' own shuffle, each row once per epoch; an epoch's last batch may be short.

    Raises:
        SourceError: the source is a CSV, or Keras lists none of its files.
        SpecError: the spec asks for antialiasing or balance, which Keras' function does not offer.
        LoaderError: a file that has to be converted cannot be read.
    """
    _check(request)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        epochs = _Epochs(Folders(request, folder), request)
        return Stream(epochs.batches(), stack.pop_all().close, request.faults)


def _check(request: Request) -> None:
    if request.manifest.layout not in _LAYOUTS:
        raise SourceError(
            f"keras_directory needs one folder per class, got {_source_name(request)}; "
            "use another loader"
        )
    if request.spec.balance:
        raise SpecError(
            "keras_directory cannot balance: Keras lists each file once; set balance=0 or use "
            "another loader"
        )
    if request.spec.antialias:
        raise SpecError("keras_directory cannot antialias; set antialias=false or leave it out")


def _source_name(request: Request) -> str:
    return "a CSV" if request.manifest.layout == "csv" else f"{request.manifest.layout} shards"


@dataclass(frozen=True)
class _Part:
    """Consecutive epochs over the same slots.

    Attributes:
        slots: the slots of each epoch; None for all.
        epoch: number of the first epoch.
        epochs: how many epochs; None for no end.
        skip: batches to leave out at the start.
    """

    slots: Rows | None
    epoch: int
    epochs: int | None
    skip: int = 0


class _Epochs:
    """The batches of all epochs; after a file fails, its epoch continues with the remaining slots.

    A dataset cannot continue after an error: what it had taken of the batch is lost.
    """

    def __init__(self, folders: Folders, request: Request) -> None:
        self._folders = folders
        self._request = request
        self._parts = [_Part(None, 0, request.order.epochs, request.order.start_step)]
        # Now, not with the first batch: a source that Keras refuses is an error of `open_loader`.
        self._listing = folders.listing(None)

    def batches(self) -> Iterator[Batch]:
        """Until the last epoch ends.

        Raises:
            LoaderError: a file cannot be read, and may not be dropped.
        """
        import tensorflow as tf

        with FifoWatch(self._request.manifest) as watch:
            while self._parts:
                part = self._parts.pop(0)
                step = part.skip
                try:
                    for images, slots, draws in watch.over(self._dataset(part)):
                        step += 1
                        rows = self._folders.rows(slots.numpy())
                        yield self._request.batch(images, rows, draws.numpy())
                except tf.errors.OpError as error:
                    self._parts = [*self._remaining_after(error, part, step), *self._parts]
                if self._parts:
                    self._listing = self._folders.listing(self._parts[0].slots)

    def _dataset(self, part: _Part) -> tf.data.Dataset:
        """Elements `(images, slots, draws)` of a part, augmented and in range."""
        import tensorflow as tf

        spec, batches_per_epoch = self._request.spec, self._batches_per_epoch()

        def draws_for(epoch: Any, slots: Rows) -> Any:
            return self._request.order.draws_of(epoch, self._folders.rows(slots))

        def finish(number: Any, pair: Any) -> Any:
            (pixels, _), slots = pair
            epoch = part.epoch + number // batches_per_epoch
            draws = tf.numpy_function(draws_for, [epoch, slots], tf.float32)
            draws = tf.ensure_shape(draws, [None, len(NEUTRAL)])
            return to_range(augment(pixels, draws, spec), spec), slots, draws

        dataset = tf.data.Dataset.zip((self._listing.dataset, self._listing.rows))
        dataset = dataset.repeat(-1 if part.epochs is None else part.epochs).enumerate()
        # As Keras' guide maps its batches, one at a time: each call holds one before and one after
        # it, 230 MB at 192 images of 224 px. Augmentation on one core would be too slow.
        calls = tf.data.AUTOTUNE if spec.augment.on_host else None
        dataset = dataset.skip(part.skip).map(finish, num_parallel_calls=calls)
        return dataset.prefetch(tf.data.AUTOTUNE)

    def _batches_per_epoch(self) -> int:
        return -(-len(self._listing.slots) // self._request.order.batch_size)

    def _remaining_after(self, error: Any, part: _Part, step: int) -> list[_Part]:
        """Drop the files that failed in batch `step` of a part; what is left of the part.

        Raises:
            LoaderError: no file failed, or one that may not be dropped.
        """
        delivered, following = self._epoch_so_far(step)
        self._drop_unreadable(np.unique(self._folders.rows(following)), step, error)
        epochs_done = step // self._batches_per_epoch()
        epoch = part.epoch + epochs_done
        remaining = [_Part(np.setdiff1d(self._listing.slots, delivered), epoch, 1)]
        if part.epochs is None:
            remaining.append(_Part(None, epoch + 1, None))
        elif part.epochs > epochs_done + 1:
            remaining.append(_Part(None, epoch + 1, part.epochs - epochs_done - 1))
        return remaining

    def _epoch_so_far(self, step: int) -> tuple[Rows, Rows]:
        """The slots that the current epoch has delivered before `step`, and those of `step`.

        Keras shuffles before it reads, so the file that failed is among the latter. To be called
        once per listing: a shuffled dataset gives each iterator another order.
        """
        into_epoch = step % self._batches_per_epoch()
        batches = self._listing.rows_again.repeat().skip(step - into_epoch).take(into_epoch + 1)
        *before, following = (batch.numpy() for batch in batches)
        return np.concatenate([np.empty(0, np.int64), *before]), following

    def _drop_unreadable(self, rows: Rows, step: int, error: Any) -> None:
        folders = self._folders
        failed = unreadable(rows, folders.manifest, folders.decoding)
        failed = failed or long_images(rows, folders.manifest, self._request.spec, folders.decoding)
        if not failed:
            message = tensorflow_message(error)
            raise LoaderError(f"TensorFlow: {message}; batch {step}") from error
        for fault in failed:
            folders.faults.add(fault)
        for fault in failed:
            folders.drop(fault.row)


def _stages(manifest: Manifest, spec: BatchSpec, settings: KerasDirectory) -> Stages:
    return tensorflow_stages(manifest, spec, "image", settings.image_dtype)


def _library_call(manifest: Manifest) -> LibraryCall:
    return only_listed(decode_image(manifest), manifest, EXTENSIONS)


LOADER = Loader(
    name="keras_directory",
    turns_by_scan=True,
    reads_objects=False,
    summary="Keras' image_dataset_from_directory as its guide calls it: what newcomers use",
    settings=KerasDirectory,
    open=open_stream,
    layouts=_LAYOUTS,
    readable_by=("pillow", "tensorflow"),  # what TensorFlow cannot read goes to Pillow
    follows_order=False,
    suites={**WITH_DEFAULTS, "peers": ({},)},
    stages=_stages,
    library_call=_library_call,
    code=keras_directory_code,
    cuts_no_regions=lambda settings: "Keras resizes each image as it reads it",
)
