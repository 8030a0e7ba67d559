"""Runs a dataset and reads tf.data's own model of it, as a chain of nodes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from itertools import islice
from time import perf_counter
from typing import Any, NamedTuple

from pydantic import Field

from feedbench.bench.record import Record

_LOOK_S = 0.02  # between two looks at the model
_KNOWN_RATIO = (3, 4)  # classes of nodes that take a fixed number of elements for each of theirs


class ChainNode(Record):
    """A node of tf.data's model on the way from the source to the batches.

    Attributes:
        name: of the node, as tf.data calls it.
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
        seconds: between the first and the last batch.
        cpu_s: CPU seconds of the process meanwhile.
    """

    nodes: list[ChainNode]
    images: int
    seconds: float
    cpu_s: float

    @property
    def cpu_per_image_s(self) -> float:
        """CPU seconds per image."""
        return self.cpu_s / self.images if self.images else 0.0


class _Spent(NamedTuple):
    """What some batches took."""

    images: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0

    def plus(self, other: _Spent) -> _Spent:
        """Return both together."""
        return _Spent(
            self.images + other.images, self.seconds + other.seconds, self.cpu_s + other.cpu_s
        )


def run_model(dataset: Any, seconds: float) -> ModelRun:
    """Run a dataset of batches for some time, epoch after epoch; return what its model shows.

    The first batch of an epoch starts threads and fills buffers. It counts only where the first
    batches hold most images, as in epochs of one or two batches. The end of an iterator, which may
    wait for AUTOTUNE's thread, never counts.

    Raises:
        StopIteration: an epoch has no element.
    """
    first, later, largest, model = _Spent(), _Spent(), 0, _Model()
    end = perf_counter() + seconds
    while largest == 0 or perf_counter() < end:
        iterator = iter(dataset)
        model.begin(iterator)
        spent = _spent(islice(iterator, 1))
        if not spent.images:
            raise StopIteration
        first, largest = first.plus(spent), max(largest, spent.images)
        model.look(iterator, is_first=True)
        later = later.plus(_spent(model.watched(iterator, end)))
    counted = later if later.images >= first.images else first.plus(later)
    return ModelRun(nodes=model.chain(largest), **counted._asdict())


def run_epoch(dataset: Any, elements: int) -> None:
    """Run a dataset until it has given some elements, or has ended, as fills a cache."""
    for _ in islice(dataset, elements):
        pass


def _spent(elements: Iterable[Any]) -> _Spent:
    cpu, clock = _cpu_s(), perf_counter()
    images = sum(_images(element) for element in elements)
    return _Spent(images, perf_counter() - clock, _cpu_s() - cpu)


def _images(element: Any) -> int:
    import tensorflow as tf

    return int(tf.nest.flatten(element)[0].shape[0])


def _cpu_s() -> float:
    used = os.times()
    return used.user + used.system + used.children_user + used.children_system


class _Model:
    """tf.data's model of a dataset, looked at again and again, since its nodes come and go.

    Many datasets drop the nodes before them at the end of an epoch: with the last batch, which is
    not a full one, the whole chain before the batches is gone. So what passes between two looks is
    added up, by a node's place in the chain, and looks at a chain that has become shorter are left
    out.
    """

    def __init__(self) -> None:
        self._names: list[str] = []
        self._whole: Any = None
        self._last: Any = None
        self._first: list[tuple[float, int]] = []
        self._later: list[tuple[float, int]] = []

    def begin(self, iterator: Any) -> None:
        """Look at the model of an iterator that has given nothing yet."""
        self._last = None
        self.look(iterator, is_first=True)

    def look(self, iterator: Any, *, is_first: bool = False) -> None:
        """Add what passed since the last look.

        Args:
            is_first: with the first batch of an epoch.
        """
        import tensorflow as tf

        before, self._last = self._last, tf.data.experimental.get_model_proto(iterator)
        keys = _keys(self._last)
        names = [self._last.nodes[key].name for key in keys]
        if len(names) < len(self._names):
            return
        if names != self._names:
            self._first, self._later = [(0.0, 0)] * len(names), [(0.0, 0)] * len(names)
        self._names, self._whole = names, self._last
        passed = [_passed(before, self._last, key) for key in keys]
        if is_first:
            self._first = _sums(self._first, passed)
        else:
            self._later = _sums(self._later, passed)

    def watched(self, iterator: Iterator[Any], end: float) -> Iterator[Any]:
        """Yield the elements of an iterator until some time, and look now and then."""
        due = perf_counter() + _LOOK_S
        for element in iterator:
            now = perf_counter()
            if now >= min(due, end):
                self.look(iterator)
                due = perf_counter() + _LOOK_S
            yield element
            if now >= end:
                return

    def chain(self, images: int) -> list[ChainNode]:
        """Return the nodes from the source to the batches.

        Args:
            images: of a batch.
        """
        found: list[ChainNode] = []
        per_image = 1 / images  # elements of the node
        totals = [
            later if later[1] else first
            for first, later in zip(self._first, self._later, strict=True)
        ]
        for number, key in enumerate(_keys(self._whole)):
            node, (seconds, elements) = self._whole.nodes[key], totals[number]
            found.append(_node(node, seconds / max(1, elements) * per_image))
            if node.node_class in _KNOWN_RATIO and node.ratio > 0:
                per_image *= node.ratio
            elif number + 1 < len(totals):
                per_image *= totals[number + 1][1] / max(1, elements)
        return found[:0:-1]  # the last, Root, stands for the whole


def _keys(model: Any) -> list[int]:
    """The nodes from the root to the source, without those of inner datasets."""
    found: list[int] = []
    inputs = [model.output]
    while inputs:
        found.append(inputs[0])
        inputs = [*model.nodes[inputs[0]].inputs]
    return found


def _passed(before: Any, after: Any, key: int) -> tuple[float, int]:
    """Seconds and elements of a node between two looks; its inner datasets' seconds are its own."""
    seconds, elements = _difference(before, after, key)
    inner = [*after.nodes[key].inputs][1:]
    return seconds + sum(_subtree_s(before, after, other) for other in inner), elements


def _subtree_s(before: Any, after: Any, key: int) -> float:
    inputs = after.nodes[key].inputs
    own_s, _ = _difference(before, after, key)
    return own_s + sum(_subtree_s(before, after, other) for other in inputs)


def _difference(before: Any, after: Any, key: int) -> tuple[float, int]:
    node, old = after.nodes[key], before.nodes.get(key) if before else None
    busy = node.processing_time - (old.processing_time if old else 0)
    return busy / 1e9, node.num_elements - (old.num_elements if old else 0)


def _sums(one: list[tuple[float, int]], other: list[tuple[float, int]]) -> list[tuple[float, int]]:
    return [(s + t, n + m) for (s, n), (t, m) in zip(one, other, strict=True)]


def _node(node: Any, own_s: float) -> ChainNode:
    return ChainNode(
        name=node.name,
        parameters={one.name: one.state_value for one in node.parameters},
        autotuned=[one.name for one in node.parameters if one.tunable],
        own_s=own_s,
        buffered_bytes=max(0, node.buffered_bytes),
    )
