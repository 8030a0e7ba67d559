"""Batches, and the streams that give them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Self

from feedbench.loaders.errors import CLOSED, ImageError, LoaderError, ended_by
from feedbench.loaders.faults import Faults

if TYPE_CHECKING:
    import tensorflow as tf

    from feedbench.loaders.adapters import TorchBatches, _Passes
    from feedbench.loaders.augment.draws import Draws
    from feedbench.loaders.own.coverage import Coverage
    from feedbench.loaders.service.ledger import Losses
    from feedbench.loaders.service.traffic import Traffic

_IMAGES_RANK = 4  # batch, height, width, channels
_CHANNELS = (1, 3, 4)


@dataclass(frozen=True, eq=False)
class Batch:
    """One batch in host memory; unpacks into images, labels and rows.

    Not a tuple: Keras would silently use the third member of a tuple as sample weights.

    Batches of a user's own loader may hold anything, also dicts and tuples of arrays, and have None
    as rows if these are unknown.

    Attributes:
        images: `[batch, height, width, 3]`: uint8 pixels 0 to 255, whose range is applied on the
            device, or float32 in the spec's `value_range`. A NumPy array or a TensorFlow tensor;
            `numpy.asarray` views either without a copy.
        labels: int32 `[batch]`, indices into the manifest's classes.
        rows: int64 `[batch]`, each image's row in the manifest.
        device_draws: float32 `[batch, 10]`, parameters of the augmentation on the device, see
            `Augment.for_device`; None if there is none.
        fixed_size: whether a user's own loader says that all its batches have one size, as a
            tf.data.Dataset does that drops the remainder.
    """

    images: Any
    labels: Any
    rows: Any
    device_draws: Draws | None = None
    fixed_size: bool = False

    def __iter__(self) -> Iterator[Any]:
        return iter((self.images, self.labels, self.rows))

    def __repr__(self) -> str:  # Keras puts it into the error that it raises for a batch
        return "a batch of images, labels and rows; model.fit takes stream.as_keras()"


def images_in(batch: Batch) -> int:
    """The number of images of a batch: the length of its first array."""
    rows = batch.rows
    return int(next(arrays_in(batch.images)).shape[0]) if rows is None else len(rows)


def size_of_images(batch: Batch) -> tuple[int, int] | None:
    """Height and width of a batch's images, channels last or first; None if it is no such array."""
    shape = tuple(getattr(batch.images, "shape", ()))
    if len(shape) != _IMAGES_RANK:
        return None
    height, width = shape[1:3] if shape[3] in _CHANNELS else shape[2:4]
    return int(height), int(width)


def arrays_in(value: Any) -> Iterator[Any]:
    """The arrays of a part of a batch, which may be one, or dicts and tuples of them."""
    if isinstance(value, dict | tuple | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from arrays_in(inner)
    else:
        yield value


@dataclass(frozen=True)
class Opening:
    """How a stream was opened.

    Attributes:
        again: opens it from its first batch on.
        steps: its batches; None if it has no end.
        steps_per_epoch: batches after which each image has come at least once, over all workers.
        is_random: whether a second pass from the start would repeat a random order.
    """

    again: Callable[[], Stream]
    steps: int | None
    steps_per_epoch: int
    is_random: bool


@dataclass(repr=False)
class Stream:
    """Batches in order; `close` ends the threads and processes behind them and frees their memory.

    An error in `next`, also Ctrl-C, ends a stream, since a batch may be lost: asked again, it
    raises a LoaderError.

    Attributes:
        batches: the iterator that the consumer pulls from.
        release: frees what produces `batches`; called once.
        faults: the images that failed and were dropped so far.
        opening: how it was opened; None if not by `open_loader`, or if own code gives the batches.
        coverage: whether each row comes once per epoch; None if a user's batches do not say, and
            for loaders that keep the order.
        passes: how far adapters have read it; None before the first `as_…`.
        reuses_memory: whether a batch is valid only until the next one is requested.
        traffic: bytes over the network so far; None if the network is not used, or if unknown.
        losses: batches that a service lost and replaced so far; None without a service.
        ready: number of batches that other machines make while this process is stopped.
    """

    batches: Iterator[Batch]
    release: Callable[[], None] = lambda: None
    faults: Faults | None = None
    opening: Opening | None = None
    coverage: Callable[[], Coverage | None] = lambda: None
    passes: _Passes | None = None
    reuses_memory: bool = False
    traffic: Callable[[], Traffic | None] = lambda: None
    losses: Callable[[], Losses | None] = lambda: None
    ready: Callable[[], int] = lambda: 0
    _again: Stream | None = None
    _open: bool = True
    _failure: str = ""  # what has ended it

    @property
    def dropped(self) -> tuple[ImageError, ...]:
        """The images dropped so far, in the order in which they failed."""
        return tuple(self.faults.dropped.values()) if self.faults else ()

    def __iter__(self) -> Iterator[Batch]:
        return self

    def __next__(self) -> Batch:
        if not self._open:
            raise LoaderError(CLOSED)
        if self._failure:
            raise LoaderError(self._failure)
        try:
            return next(self.batches)
        except StopIteration:
            raise
        except BaseException as error:
            self._failure = ended_by(error)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:  # Keras puts it into the error that it raises for a stream
        return "a stream of batches; model.fit takes stream.as_keras()"

    def as_dataset(self) -> tf.data.Dataset:
        """A tf.data.Dataset of `(images, labels)`; see `adapters.as_dataset`."""
        from feedbench.loaders.adapters import as_dataset

        return as_dataset(self)

    def as_keras(self) -> tf.data.Dataset:
        """Data for `model.fit`, with every backend of Keras; see `adapters.as_keras`."""
        from feedbench.loaders.adapters import as_keras

        return as_keras(self)

    def as_torch(self, layout: Literal["NCHW", "NHWC"] = "NCHW") -> TorchBatches:
        """An iterable of pairs of Torch tensors; see `adapters.TorchBatches`."""
        from feedbench.loaders.adapters import as_torch

        return as_torch(self, layout)

    def open_again(self) -> Stream:
        """The same batches from the first on; closed with this stream or by the next call.

        Raises:
            LoaderError: the stream is closed, or cannot be opened again.
        """
        if not self._open or self.opening is None:
            raise LoaderError("this stream cannot be opened again; open the loader again")
        if self._again is not None:
            self._again.close()
        self._again = self.opening.again()
        return self._again

    def close(self) -> None:
        """Free everything; further calls do nothing."""
        if self._open:
            self._open = False
            self.batches = iter(())
            try:
                if self._again is not None:
                    self._again.close()
            finally:  # also if Ctrl-C interrupts the other
                release, self.release = self.release, lambda: None  # what it holds is freed too
                release()
