"""Runs a dataset and reads tf.data's own model of it, as a chain of nodes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import islice
from time import perf_counter
from typing import Any

from pydantic import Field

from feedbench.bench.record import Record

_KNOWN_RATIO = (3, 4)  # classes of nodes that take a fixed number of elements for each of theirs


class ChainNode(Record):
    """A node of tf.data's model on the way from the source to the batches.

    Attributes:
        parameters: current values by name.
        autotuned: names of those that AUTOTUNE may change.
        own_s: seconds per image for which the node and the datasets inside it were busy or
            blocked, summed over its threads.
        buffered_bytes: size of the elements buffered in the node.
    """

    name: str
    parameters: dict[str, float] = Field(default_factory=dict)
    autotuned: list[str] = Field(default_factory=list)
    own_s: float = 0.0
    buffered_bytes: int = 0


class ModelRun(Record):
    """What a run of a dataset showed.

    Attributes:
        nodes: from the source to the batches.
        images: that arrived in `seconds`.
        cpu_s: CPU seconds of the process meanwhile.
    """

    nodes: list[ChainNode]
    images: int
    seconds: float
    cpu_s: float

    @property
    def images_per_second(self) -> float:
        """The rate, without the first batch of each epoch."""
        return self.images / self.seconds if self.seconds else 0.0

    @property
    def cpu_per_image_s(self) -> float:
        """CPU seconds per image."""
        return self.cpu_s / self.images if self.images else 0.0


def run_model(dataset: Any, seconds: float) -> ModelRun:
    """Run a dataset of batches for some time, epoch after epoch; return what its model shows.

    The first batch of an epoch starts threads and fills buffers; neither it nor the end of an
    iterator, which may wait for AUTOTUNE's thread, is timed.

    Raises:
        StopIteration: an epoch has no element.
    """
    import tensorflow as tf

    images, size, spent_s, cpu_s = 0, 0, 0.0, 0.0
    totals: dict[int, tuple[float, int]] = {}
    begin = perf_counter()
    while True:
        iterator = iter(dataset)
        size = max(size, _images(next(iterator)))
        started = tf.data.experimental.get_model_proto(iterator)
        cpu, clock = _cpu_s(), perf_counter()
        for element in _until(iterator, begin + seconds):
            images += _images(element)
        spent_s += perf_counter() - clock
        cpu_s += _cpu_s() - cpu
        ended = tf.data.experimental.get_model_proto(iterator)
        _add(totals, started, ended)
        if perf_counter() >= begin + seconds:
            break
    nodes = _chain(ended, totals, 1 / size)
    return ModelRun(nodes=nodes, images=images, seconds=spent_s, cpu_s=cpu_s)


def run_epoch(dataset: Any, elements: int) -> None:
    """Run a dataset until it has given some elements, or has ended, as fills a cache."""
    for _ in islice(dataset, elements):
        pass


def _until(iterator: Iterator[Any], end: float) -> Iterator[Any]:
    for element in iterator:
        yield element
        if perf_counter() >= end:
            return


def _images(element: Any) -> int:
    import tensorflow as tf

    return int(tf.nest.flatten(element)[0].shape[0])


def _cpu_s() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


def _add(totals: dict[int, tuple[float, int]], started: Any, ended: Any) -> None:
    """Add the seconds and the elements of each node between two states of a model."""
    for key, node in ended.nodes.items():
        before = started.nodes.get(key)
        busy = node.processing_time - (before.processing_time if before else 0)
        count = node.num_elements - (before.num_elements if before else 0)
        if count <= 0:  # nothing after the first batch: better all than none
            busy, count = node.processing_time, node.num_elements
        seconds, elements = totals.get(key, (0.0, 0))
        totals[key] = seconds + busy / 1e9, elements + count


def _chain(model: Any, totals: dict[int, tuple[float, int]], per_image: float) -> list[ChainNode]:
    """The nodes from the source to the batches; those of inner datasets count with their owner.

    Args:
        per_image: elements of the last node per image.
    """
    found: list[ChainNode] = []
    key: int | None = model.output
    while key is not None:
        node = model.nodes[key]
        outer, *inner = [*node.inputs] or [None]
        seconds, elements = totals[key]
        seconds += sum(_subtree_s(model, other, totals) for other in inner)
        found.append(_node(node, seconds / max(1, elements) * per_image))
        if outer is not None:
            known = node.node_class in _KNOWN_RATIO and node.ratio > 0
            per_image *= node.ratio if known else totals[outer][1] / max(1, elements)
        key = outer
    return found[:0:-1]  # the last, Root, stands for the whole


def _subtree_s(model: Any, key: int, totals: dict[int, tuple[float, int]]) -> float:
    inputs = model.nodes[key].inputs
    return totals[key][0] + sum(_subtree_s(model, other, totals) for other in inputs)


def _node(node: Any, own_s: float) -> ChainNode:
    return ChainNode(
        name=node.name,
        parameters={one.name: one.state_value for one in node.parameters},
        autotuned=[one.name for one in node.parameters if one.tunable],
        own_s=own_s,
        buffered_bytes=max(0, node.buffered_bytes),
    )
