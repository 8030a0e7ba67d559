"""Records how a tf.data.Dataset is built, so that any of its calls can be made once more."""

from __future__ import annotations

import inspect
import linecache
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from pathlib import Path
from types import FrameType
from typing import Any

_LIBRARIES = ("tensorflow", "keras")
_OURS = str(Path(__file__).parents[3])
_NOT_STAGES = {"apply"}  # it calls a function that calls the methods which count


@dataclass(frozen=True)
class Place:
    """Where a call is written.

    Attributes:
        file: path as Python knows it.
        text: the line, without its indentation.
        own: False if a library such as Keras makes the call for the line.
    """

    file: str
    line: int
    text: str
    own: bool


@dataclass(frozen=True)
class Call:
    """A call that returned a dataset.

    Attributes:
        method: such as `map`; a class of datasets has its own name.
        before: the dataset whose method was called; None for a source.
        arguments: by name, without `before`.
        dataset: what was returned.
    """

    method: str
    before: Any | None
    arguments: dict[str, Any]
    place: Place
    dataset: Any

    def on(self, before: Any, **changed: Any) -> Any:
        """Return the dataset of the same call on another dataset, with some arguments changed."""
        return getattr(before, self.method)(**{**self.arguments, **changed})


@dataclass
class Recording:
    """All calls while a dataset was built, by the dataset that each returned."""

    calls: dict[int, Call] = field(default_factory=dict)
    depth: int = 0

    def chain(self, dataset: Any) -> list[Call]:
        """Return the calls from a dataset's source to the dataset itself."""
        found: list[Call] = []
        while dataset is not None:
            call = self.calls.get(id(dataset)) or _unknown(dataset)
            found.append(call)
            dataset = call.before
        return found[::-1]


def rebuilt(chain: list[Call], change: Callable[[Call, Any], Any] | None = None) -> Any:
    """Return the dataset of a chain, built once more upon the same source.

    Args:
        change: returns the dataset of a call, given the call and the dataset before it; by default
            the call is repeated.
    """
    dataset = chain[0].dataset
    for call in chain[1:]:
        dataset = change(call, dataset) if change else call.on(dataset)
    return dataset


@contextmanager
def recorded() -> Iterator[Recording]:
    """Record all datasets that are built in this block, on one thread."""
    import tensorflow as tf

    recording = Recording()
    base = tf.data.Dataset
    originals = {
        name: value
        for name, value in vars(base).items()
        if not name.startswith("_") and name not in _NOT_STAGES and _is_function(value)
    }
    begin = base.__init__
    try:
        for name, value in originals.items():
            setattr(base, name, _wrapped(recording, base, name, value))
        base.__init__ = _wrapped_init(recording, begin)
        yield recording
    finally:
        base.__init__ = begin
        for name, value in originals.items():
            setattr(base, name, value)


def _is_function(value: Any) -> bool:
    return inspect.isfunction(value) or isinstance(value, staticmethod)


def _wrapped(recording: Recording, base: type, name: str, original: Any) -> Any:
    """A method that records what it returns, unless another method has called it."""
    is_static = isinstance(original, staticmethod)
    function = original.__func__ if is_static else original
    signature = inspect.signature(function)

    @wraps(function)
    def method(*args: Any, **kwargs: Any) -> Any:
        recording.depth += 1
        try:
            result = function(*args, **kwargs)
        finally:
            recording.depth -= 1
        if recording.depth == 0 and isinstance(result, base):
            bound = dict(signature.bind(*args, **kwargs).arguments)
            before = None if is_static else bound.pop("self")
            place = _place(inspect.currentframe())
            recording.calls[id(result)] = Call(name, before, bound, place, result)
        return result

    return staticmethod(method) if is_static else method


def _wrapped_init(recording: Recording, original: Any) -> Any:
    """An `__init__` that records a dataset which was made by its class."""

    @wraps(original)
    def init(dataset: Any, *args: Any, **kwargs: Any) -> None:
        original(dataset, *args, **kwargs)
        if recording.depth == 0:
            name, place = type(dataset).__name__, _place(inspect.currentframe())
            recording.calls[id(dataset)] = Call(name, None, {}, place, dataset)

    return init


def _unknown(dataset: Any) -> Call:
    """A dataset that was built before the recording began is a source."""
    return Call(type(dataset).__name__, None, {}, Place("", 0, "", False), dataset)


def _place(frame: FrameType | None) -> Place:
    """The line of the user's code from which a call came."""
    own = True
    while frame is not None and _library_of(frame) is not None:
        own = own and _library_of(frame) != "keras"
        frame = frame.f_back
    if frame is None:
        return Place("", 0, "", False)
    file, line = frame.f_code.co_filename, frame.f_lineno
    return Place(file, line, linecache.getline(file, line).strip(), own)


def _library_of(frame: FrameType) -> str | None:
    """The library that a frame belongs to; None for the user's code."""
    parts = Path(frame.f_code.co_filename).parts
    if "site-packages" in parts:
        package = parts[parts.index("site-packages") + 1]
        return package if package in _LIBRARIES else None
    return "feedbench" if frame.f_code.co_filename.startswith(_OURS) else None
