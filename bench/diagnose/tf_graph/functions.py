"""What the functions inside a dataset's stages do, told from the operations of their graphs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from feedbench.bench.diagnose.tf_graph.python_random import draws

_PYTHON = {"PyFunc", "EagerPyFunc", "PyFuncStateless"}
_RANDOM = ("Random", "Rng", "SampleDistorted", "TruncatedNormal", "Multinomial", "StatefulUniform")
_EXPENSIVE = ("Decode", "ReadFile", "Resize", "Conv", "MatMul", "Crop", "ImageProjective", "While")
_DT_FLOAT = 1


class Facts(NamedTuple):
    """What the functions of a stage do.

    Attributes:
        python: they call Python for each element.
        random: they draw random numbers, in TensorFlow or in Python.
        decodes: they decode images.
        float_resize: they resize images that are float32 already.
        light: they only convert and compute element by element.
    """

    python: bool = False
    random: bool = False
    decodes: bool = False
    float_resize: bool = False
    light: bool = False


def facts_of(dataset: Any) -> Facts:
    """Return what the functions of a dataset's own stage do."""
    nodes = [node for function in dataset._functions() for node in _nodes(function.function)]
    ops = {node.op for node in nodes}
    return Facts(
        python=bool(ops & _PYTHON),
        random=any(part in op for op in ops for part in _RANDOM) or any(map(_draws, nodes)),
        decodes=any(op.startswith("Decode") and "Raw" not in op for op in ops),
        float_resize=any(_resizes_float(node) for node in nodes) and "DecodeJpeg" in ops,
        light=bool(nodes) and not ops & _PYTHON and not _any_in(ops, _EXPENSIVE),
    )


def _draws(node: Any) -> bool:
    """Whether an operation calls Python that draws random numbers."""
    if node.op not in _PYTHON:
        return False
    from tensorflow.python.ops import script_ops  # the graph holds no more than a token

    function = script_ops._py_funcs.get(node.attr["token"].s.decode())
    return draws(getattr(function, "_func", function))


def _any_in(ops: set[str], parts: tuple[str, ...]) -> bool:
    return any(part in op for op in ops for part in parts)


def _nodes(function: Any) -> Iterator[Any]:
    """The operations of a function and of those that it calls."""
    graph = function.graph.as_graph_def()
    yield from graph.node
    for inner in graph.library.function:
        yield from inner.node_def


def _resizes_float(node: Any) -> bool:
    return bool(node.op.startswith("Resize") and node.attr["T"].type == _DT_FLOAT)
