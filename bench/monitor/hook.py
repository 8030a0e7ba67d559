"""Reaches into one running `fit` of Keras; nothing is changed that lives longer than this `fit`."""

from __future__ import annotations

import sys
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from types import FrameType
from typing import Any

_DATA = {  # Keras' adapter of the data, and what a user calls it
    "TFDatasetAdapter": "tf.data.Dataset",
    "PyDatasetAdapter": "PyDataset",
    "TorchDataLoaderAdapter": "DataLoader",
    "GeneratorDataAdapter": "generator",
    "GrainDatasetAdapter": "Grain",
    "ArrayDataAdapter": "arrays",
}


class Unsupported(Exception):
    """This `fit` cannot be measured; the text says why, as the end of a sentence."""


class Fit:
    """One running `fit`.

    Attributes:
        backend: tensorflow, jax or torch.
        data: what kind of data it reads.
        steps_per_execution: batches that one call of the train function takes.
        images: images of an epoch, if Keras knows; else 0.
    """

    def __init__(self, model: Any, backend: str, frame: FrameType, batches: Any) -> None:
        """Read the facts of a `fit`.

        Args:
            model: that is trained.
            backend: of Keras.
            frame: of `fit`, on the stack of this thread.
            batches: the epoch iterator, which makes the iterator of each epoch. `fit` holds it in
                a local variable: what is changed in it ends with `fit`, even by an error. So there
                is only a weak reference to it here.
        """
        adapter = batches.data_adapter
        kind = type(adapter).__name__
        self.model = model
        self.backend = backend
        self.data = _DATA.get(kind, kind)
        self.steps_per_execution = int(batches.steps_per_execution)
        self.images = 0
        with suppress(Exception):  # the adapter of tf.data fails if no batch has a fixed rank
            self.images = int(batches.num_batches or 0) * int(adapter.batch_size or 0)
        self._batches = weakref.ref(batches)
        self._thread = threading.get_ident()
        self._frame = id(frame)  # no reference, which would keep the epoch iterator

    def observe(self, wrapped: Callable[[Any], Any]) -> None:
        """Have `wrapped` applied to the batches of each further epoch."""
        batches = self._batches()
        assert batches is not None
        original = batches._get_iterator  # noqa: SLF001  Keras has no public place
        batches._get_iterator = lambda: wrapped(original())  # noqa: SLF001

    def release(self) -> None:
        """Have the batches of further epochs come as they do without a monitor."""
        if (batches := self._batches()) is not None:
            batches.__dict__.pop("_get_iterator", None)

    def is_running(self) -> bool:
        """Whether `fit` is on the stack of its thread, as asked from another thread.

        Its variables may live longer: a notebook keeps the traceback of the last error.
        """
        frame = sys._current_frames().get(self._thread)  # noqa: SLF001  of another thread
        while frame is not None and id(frame) != self._frame:
            frame = frame.f_back
        return frame is not None

    def on_end(self, close: Callable[[], object]) -> None:
        """Call `close` once this `fit` has gone, even if it ended by an error or Ctrl-C."""
        weakref.finalize(self._batches(), close).atexit = False


def running_fit(model: Any) -> Fit:
    """Return the `fit` that called, at any depth.

    Raises:
        Unsupported: Keras' own `fit` did not call, or it trains on several devices.
    """
    import keras

    backend = keras.backend.backend()
    if backend not in ("tensorflow", "jax", "torch"):
        raise Unsupported(f"the backend {backend} is not supported")
    if _is_distributed(model, backend):
        raise Unsupported("distributed training is not supported")
    frame = sys._getframe()  # noqa: SLF001  Keras gives a callback no other way to the data
    while frame.f_back is not None:
        frame = frame.f_back
        batches = frame.f_locals.get("epoch_iterator") if frame.f_code.co_name == "fit" else None
        if hasattr(batches, "_get_iterator") and hasattr(batches, "data_adapter"):
            return Fit(model, backend, frame, batches)
    raise Unsupported("only Keras' own fit is supported, not another training loop")


def _is_distributed(model: Any, backend: str) -> bool:
    import keras

    if backend == "tensorflow":
        import tensorflow as tf

        strategy = getattr(model, "distribute_strategy", None)
        return strategy is not None and type(strategy) is not type(_default_strategy(tf))
    if backend == "jax":
        return keras.distribution.distribution() is not None
    torch: Any = sys.modules["torch"]
    return bool(torch.distributed.is_available() and torch.distributed.is_initialized())


def _default_strategy(tf: Any) -> Any:
    with tf.init_scope():
        return tf.distribute.get_strategy()
