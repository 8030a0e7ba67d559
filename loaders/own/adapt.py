"""What a user's function may return, each as epochs of plain items."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from feedbench.loaders.own.errors import OwnError, raised_by
from feedbench.loaders.own.function import OwnFunction

EXPECTED = (
    "a tf.data.Dataset, a Keras PyDataset, a torch DataLoader, or an iterable of (images, labels) "
    "or (images, labels, rows)"
)


@dataclass(frozen=True)
class Source:
    """What a function returned.

    Attributes:
        epoch: starts an epoch, and returns its items.
        is_spent: whether it has one epoch only, so that the function must be called for the next.
        fixed_size: whether it says that all its batches have one size.
        close: ends its threads and processes.
    """

    epoch: Callable[[], Iterator[Any]]
    is_spent: bool = False
    fixed_size: bool = False
    close: Callable[[], None] = lambda: None


def adapted(function: OwnFunction, returned: Any) -> Source:
    """Return the source of batches that a function returned.

    Raises:
        OwnError: it gives no batches.
    """
    if returned is None or isinstance(returned, str | bytes | dict | tuple):
        raise OwnError(_refusal(function, returned))
    if not hasattr(type(returned), "__iter__") and not hasattr(type(returned), "__getitem__"):
        raise OwnError(_refusal(function, returned))
    try:
        if _is_py_dataset(returned):
            return _py_dataset(returned)
        iterator = iter(returned)
    except Exception as error:
        raise raised_by(function, error, "when its iteration began") from error
    if iterator is returned:
        return Source(lambda: iterator, is_spent=True, close=_closer(iterator))
    epochs = _Epochs(returned, iterator)
    return Source(epochs.start, fixed_size=_has_fixed_size(returned), close=epochs.close)


def _refusal(function: OwnFunction, returned: Any) -> str:
    name = type(returned).__name__
    text = "None" if returned is None else f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"
    if isinstance(returned, tuple):
        text += f" of {len(returned)}"
    return f"{function.place}: {function.function} returned {text}; expected {EXPECTED}"


def _is_py_dataset(value: Any) -> bool:
    """Whether it is a Keras PyDataset; Keras is not imported for those who do not use it."""
    return any(
        base.__name__ == "PyDataset" and base.__module__.startswith("keras.")
        for base in type(value).__mro__
    )


def _closer(iterator: Any) -> Callable[[], None]:
    """What ends an iterator: `close` of a generator, or of the worker processes of a loader."""
    for name in ("close", "_shutdown_workers"):  # torch has no public name for it
        if callable(close := getattr(iterator, name, None)):
            return close  # type: ignore[no-any-return]
    return lambda: None


class _Epochs:
    """An iterable that can be iterated again; its first iterator has been made."""

    def __init__(self, iterable: Iterable[Any], first: Iterator[Any]) -> None:
        self._iterable = iterable
        self._first: Iterator[Any] | None = first
        self._current: Iterator[Any] | None = first

    def start(self) -> Iterator[Any]:
        self._current = iter(self._iterable) if self._first is None else self._first
        self._first = None
        return self._current

    def close(self) -> None:
        _closer(self._current)()
        self._current = self._first = None


def _py_dataset(dataset: Any) -> Source:
    """Read as Keras' `fit` does: through its threads or processes, and tf.data in front of them."""
    import keras
    from keras.src.trainers.data_adapters.py_dataset_adapter import PyDatasetAdapter

    adapter = PyDatasetAdapter(dataset, shuffle=False)
    read = adapter.get_numpy_iterator
    if keras.backend.backend() == "tensorflow":
        as_dataset = adapter.get_tf_dataset()
        read = as_dataset.__iter__

    def epoch() -> Iterator[Any]:
        adapter.on_epoch_begin()
        yield from read()
        adapter.on_epoch_end()

    def close() -> None:
        if adapter.enqueuer is not None:
            adapter.enqueuer.stop()

    return Source(epoch, close=close)


def _has_fixed_size(value: Any) -> bool:
    """Whether it is a tf.data.Dataset whose elements have a known first axis."""
    tf = sys.modules.get("tensorflow")
    if tf is None or not isinstance(value, tf.data.Dataset):
        return False
    shapes = [getattr(spec, "shape", None) for spec in tf.nest.flatten(value.element_spec)]
    return all(shape is not None and shape.rank and shape[0] is not None for shape in shapes)
