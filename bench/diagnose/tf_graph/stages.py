"""The stages of a dataset, from its source to its batches, as the user's code names them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from feedbench.bench.diagnose.tf_graph.functions import facts_of
from feedbench.bench.diagnose.tf_graph.python_random import draws
from feedbench.bench.diagnose.tf_graph.recording import Call
from feedbench.bench.record import Record

AUTO = -1  # tf.data.AUTOTUNE
BATCHES = ("batch", "padded_batch", "ragged_batch")
_IMAGE_RANK = 3


class GraphStage(Record):
    """One call of the user's code, or of a library that it called, which makes a dataset.

    Attributes:
        method: such as `map`.
        file: of the user's line; empty if unknown.
        line: number of that line; 0 if unknown.
        text: the line itself.
        own: whether the line makes the call itself, not a library in its place.
        parallel: parallel calls that it asks for; `AUTO` for AUTOTUNE; None if it has none.
        parallel_none: whether it passes a `num_parallel_calls` that is None.
        setting: the user's setting that it passes as such, as `--set` takes it; empty if none.
        buffer_size: of `shuffle` and `prefetch`.
        shuffles_all: whether the elements behind it come in random order.
        files: number of files that a source of records reads; None of another stage.
        elements: number of elements in an epoch; None if unknown or endless.
        element_bytes: size of an element; None if unknown.
        batched: whether an element is a batch.
        floats: whether an element holds float32 images.
        python: whether its function runs Python for each element.
        random: whether its function draws random numbers.
        decodes: whether its function decodes images.
        float_resize: whether its function resizes images after their conversion to float32.
        light: whether its function does nothing but convert and compute element by element.
        ordered: whether it was told to keep the order of its elements.
    """

    method: str
    file: str = ""
    line: int = 0
    text: str = ""
    own: bool = True
    parallel: int | None = None
    parallel_none: bool = False
    setting: str = ""
    buffer_size: int | None = None
    shuffles_all: bool = False
    files: int | None = None
    elements: int | None = None
    element_bytes: int | None = None
    batched: bool = False
    floats: bool = False
    python: bool = False
    random: bool = False
    decodes: bool = False
    float_resize: bool = False
    light: bool = False
    ordered: bool = False

    @property
    def place(self) -> str:
        """File and line, as errors of Python name them."""
        return f"{self.file}, line {self.line}" if self.file else "(unknown line)"


def stages_in(chain: list[Call]) -> list[GraphStage]:
    """Return the stages of a chain of calls whose last elements are batches."""
    stages: list[GraphStage] = []
    batched = not any(call.method in BATCHES for call in chain)  # the source gives batches
    for call in chain:
        batched = (batched or call.method in BATCHES) and call.method != "unbatch"
        stages.append(_stage(call, batched))
    return stages


def _stage(call: Call, batched: bool) -> GraphStage:
    dataset, place = call.dataset, call.place
    facts = facts_of(dataset)._asdict()
    if call.method == "from_generator":
        facts |= {"python": True, "random": draws(call.arguments.get("generator"))}
    return GraphStage(
        method=call.method,
        file=place.file,
        line=place.line,
        text=place.text,
        own=place.own,
        parallel=_parallel(call),
        parallel_none=call.arguments.get("num_parallel_calls", AUTO) is None,
        buffer_size=_number(call.arguments.get("buffer_size")),
        shuffles_all=_shuffles_all(call),
        files=_files(dataset),
        elements=_elements(dataset),
        element_bytes=_bytes(dataset),
        batched=batched,
        floats=_holds_floats(dataset, batched),
        ordered=call.arguments.get("deterministic") is True,
        **facts,
    )


def _parallel(call: Call) -> int | None:
    if call.method in ("map", "batch", "interleave"):
        return _number(call.arguments.get("num_parallel_calls"))
    return _number(getattr(call.dataset, "_num_parallel_reads", None))


def _shuffles_all(call: Call) -> bool:
    if call.method == "list_files":
        return call.arguments.get("shuffle") is not False
    size, elements = _number(call.arguments.get("buffer_size")), _elements(call.dataset)
    return call.method == "shuffle" and bool(size and elements and size >= elements)


def _number(value: Any) -> int | None:
    with suppress(TypeError, ValueError):
        return int(value)
    return None


def _elements(dataset: Any) -> int | None:
    count = int(dataset.cardinality())
    return count if count >= 0 else None


def _files(dataset: Any) -> int | None:
    names = getattr(dataset, "_filenames", None)  # a dataset of names
    return None if names is None else _elements(names)


def _bytes(dataset: Any) -> int | None:
    """The size of an element whose shapes are known."""
    total = 0
    for spec in _specs(dataset):
        count = spec.shape.num_elements() if hasattr(spec, "shape") else None
        if count is None or spec.dtype.size is None:
            return None
        total += count * spec.dtype.size
    return total


def _holds_floats(dataset: Any, batched: bool) -> bool:
    rank = _IMAGE_RANK + batched
    return any(
        getattr(spec, "dtype", None) == "float32" and spec.shape.rank == rank
        for spec in _specs(dataset)
    )


def _specs(dataset: Any) -> list[Any]:
    import tensorflow as tf

    return list(tf.nest.flatten(dataset.element_spec))
