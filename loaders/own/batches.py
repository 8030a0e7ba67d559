"""Items of a user's iterable as batches; items that are none are refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.contract import Batch, images_in
from feedbench.loaders.own.coverage import RowCounter
from feedbench.loaders.own.errors import OwnError
from feedbench.loaders.own.function import OwnFunction

_PAIR, _TRIPLE = 2, 3
_NUMBERS = (int, float, np.number)
_TEXTS = {"U": "str", "S": "bytes"}  # by the kind of their dtype
Form = tuple[tuple[str, str, tuple[int, ...]], ...]  # name, dtype and shape without the batch axis


class BatchReader:
    """Turns items into batches, and checks that each is like the first.

    Attributes:
        count: batches so far.
        rows: how often each row has come.
    """

    def __init__(self, function: OwnFunction, images: int, first_step: int = 0) -> None:
        """Prepare to read.

        Args:
            images: rows of the manifest.
            first_step: step of the first batch.
        """
        self.count = 0
        self.rows = RowCounter(images, first_step)
        self._function = function
        self._images = images
        self._first: Form | None = None

    def batch(self, item: Any, *, fixed_size: bool = False) -> Batch:
        """The batch of an item.

        Args:
            fixed_size: whether all batches are known to have one size.

        Raises:
            OwnError: it is not a batch, or unlike the first.
        """
        self.count += 1
        if isinstance(item, Batch):  # of a function that returns a stream of Feedbench's own
            item = tuple(item)
        if not isinstance(item, tuple | list) or len(item) not in (_PAIR, _TRIPLE):
            raise self._error(f"is {described(item)}", "(images, labels) or (images, labels, rows)")
        images, labels, *rest = (plain(part) for part in item)
        self._check(images, labels)
        batch = Batch(images, labels, None, fixed_size=fixed_size)
        if not rest:
            return batch
        rows = self._checked_rows(rest[0], images_in(batch))
        self.rows.add(rows)
        return replace(batch, rows=rows)

    def _check(self, images: Any, labels: Any) -> None:
        arrays = [*_named(images, "images"), *_named(labels, "labels")]
        form = tuple((name, _dtype(array), _shape(array)[1:]) for name, array in arrays)
        if self._first is None:
            self._check_sizes(arrays)
            self._first = form
        elif form != self._first:
            self._refuse_other(form)
        else:
            self._check_sizes(arrays)

    def _check_sizes(self, arrays: list[tuple[str, Any]]) -> None:
        sizes: dict[int, str] = {}  # with the first array of each
        for name, array in arrays:
            if not hasattr(array, "shape") or not hasattr(array, "dtype"):
                raise self._error(f"has {described(array)} as {name}", "an array")
            if not _shape(array):
                raise self._error(
                    f"has a single number as {name}", "one per image: is the dataset batched?"
                )
            sizes.setdefault(_shape(array)[0], name)
        if len(sizes) > 1:
            text = ", ".join(f"{size} {name}" for size, name in sizes.items())
            raise self._error(f"has {text}", "the same number of each: is the dataset batched?")
        if not sizes or 0 in sizes:
            raise self._error("is empty", "at least one image")

    def _refuse_other(self, form: Form) -> None:
        assert self._first is not None
        pairs = zip(form, self._first, strict=False)
        now, before = next((pair for pair in pairs if pair[0] != pair[1]), (form, self._first))
        raise self._error(f"has {_form_text(now)}", f"{_form_text(before)}, as in batch 1")

    def _checked_rows(self, rows: Any, size: int) -> NDArray[np.int64]:
        array = np.asarray(rows)
        if array.shape != (size,) or not np.issubdtype(array.dtype, np.integer):
            raise self._error(
                f"has {described(rows)} as rows",
                f"integers [{size}], rows of the manifest (sample weights have no place here)",
            )
        last = self._images - 1
        for row in (int(array.min()), int(array.max())):
            if not 0 <= row <= last:
                raise self._error(
                    f"has row {row}", f"rows of the manifest it was given, 0 to {last}"
                )
        return array.astype(np.int64, copy=False)

    def _error(self, fault: str, expected: str) -> OwnError:
        function = self._function
        return OwnError(
            f"{function.place}: {function.function}: batch {self.count} {fault}; expected "
            f"{expected}"
        )


def _named(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    """The arrays of a part of a batch, with names such as `images['left']`."""
    if isinstance(value, dict):
        for key in sorted(value, key=str):  # a later batch may have them in another order
            yield from _named(value[key], f"{name}[{key!r}]")
    elif isinstance(value, tuple | list):
        for number, inner in enumerate(value):
            yield from _named(inner, f"{name}[{number}]")
    else:
        yield name, value


def plain(value: Any) -> Any:
    """The value with NumPy arrays in place of lists of numbers, and of Torch's tensors.

    An array has the memory of the tensor.
    """
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list) and value and all(isinstance(one, _NUMBERS) for one in value):
        return np.asarray(value)
    if isinstance(value, tuple | list):
        return tuple(plain(inner) for inner in value)
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach"):
        return value.detach().cpu().numpy()
    return value


def described(value: Any) -> str:
    """What a value is, in a few words: its type, shape or length."""
    if value is None:
        return "None"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        return _form_text(("", _dtype(value), _shape(value))).strip()
    name = type(value).__name__
    text = f"{'an' if name[:1] in 'aeiouAEIOU' else 'a'} {name}"
    if isinstance(value, str):
        return f"{text}, {value[:40]!r}"
    return f"{text} of {len(value)}" if isinstance(value, tuple | list | dict) else text


def _form_text(form: Any) -> str:
    if len(form) != _TRIPLE or not isinstance(form[0], str):
        return f"{len(form)} arrays"
    name, dtype, shape = form
    if not name:
        return f"{dtype} [{', '.join(map(str, shape))}]"
    return f"{dtype} [{', '.join(map(str, ('batch', *shape)))}] as {name}"


def _dtype(array: Any) -> str:
    """The name of a dtype; that of a NumPy array of texts without the length of the longest."""
    dtype = getattr(array, "dtype", None)
    if isinstance(dtype, np.dtype) and dtype.kind in _TEXTS:
        return _TEXTS[dtype.kind]
    return str(getattr(dtype, "name", dtype))


def _shape(array: Any) -> tuple[int, ...]:
    """The shape; axes of ragged length are -1."""
    shape = getattr(array, "shape", ())
    return tuple(-1 if size is None else int(size) for size in shape)
