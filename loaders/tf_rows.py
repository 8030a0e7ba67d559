"""The rows of an order inside a tf.data graph, chunk by chunk."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from feedbench.loaders.augment.draws import NEUTRAL
from feedbench.loaders.augment.regions import COLUMNS
from feedbench.loaders.order import Order

if TYPE_CHECKING:
    import tensorflow as tf

_INNER = {"draws": (len(NEUTRAL),), "crop": (COLUMNS,)}  # shapes of columns that are no vectors
Element = dict[str, Any]  # tensors by name: what passes from stage to stage
Stage = Callable[[Any], Element]


def chunks(order: Order, size: int) -> tf.data.Dataset:
    """The numbers of an order's chunks of `size` positions."""
    import tensorflow as tf

    count = order.chunk_count(size)
    return tf.data.Dataset.counter() if count is None else tf.data.Dataset.range(count)


def by_python(
    order: Order, size: int, columns: Callable[[int, int], list[Any]], types: dict[str, Any]
) -> Stage:
    """A stage that asks Python for the columns of a chunk: from its number to vectors by name.

    Not `from_generator`: since Python 3.11 that makes malloc map new memory for everything larger
    than 128 kB, in the whole process and from then on. Each image then cost page faults.
    """
    import tensorflow as tf

    def values(number: Any) -> list[Any]:
        return columns(*order.chunk(int(number), size))

    def stage(number: Any) -> Element:
        vectors = tf.numpy_function(values, [number], list(types.values()))
        element = dict(zip(types, vectors, strict=True))
        for name, vector in element.items():
            vector.set_shape((None, *_INNER.get(name, ())))
        return element

    return stage


def chain(*stages: Stage) -> Stage:
    """One function that passes an element through several stages."""

    def run(element: Element) -> Element:
        for stage in stages:
            element = stage(element)
        return element

    return run
