"""The values that tf.data's AUTOTUNE chose, read from tf.data's model of a running pipeline."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from feedbench.bench.record import Record
from feedbench.loaders import BatchSpec, Loader, Manifest, Order, Request, Settings


class Node(Record):
    """One node of tf.data's model of a pipeline.

    Attributes:
        name: of the node, as tf.data calls it.
        parameters: current values by name: `parallelism` counts concurrent calls, `buffer_size`
            and similar ones count elements.
        autotuned: names of the parameters that AUTOTUNE may change.
        processing_s: seconds per image for which the node itself was busy, or blocked as in a
            read, summed over its threads.
        buffered_bytes: size of the elements buffered in the node.
    """

    name: str
    parameters: dict[str, float]
    autotuned: list[str]
    processing_s: float
    buffered_bytes: int


def autotune_nodes(
    loader: Loader, manifest: Manifest, spec: BatchSpec, settings: Settings, seconds: float
) -> list[Node]:
    """Run the pipeline for `seconds` and return its nodes, from the files to the batches.

    The list is empty if AUTOTUNE has nothing to set: tf.data then builds no model. With some
    pipelines AUTOTUNE needs longer than a few seconds to settle.
    """
    if loader.autotuning is None or not loader.autotuning.fixed(settings, 1):
        return []
    import tensorflow as tf

    order = Order(len(manifest), spec.batch_size, spec.shuffle, spec.seed, spec.augment)
    with loader.autotuning.dataset(Request(manifest, spec, order), settings) as dataset:
        batches = iter(dataset)
        begin, images = perf_counter(), 0
        while perf_counter() - begin < seconds:
            next(batches)
            images += spec.batch_size
        model = tf.data.experimental.get_model_proto(batches)
        nodes = [model.nodes[number] for number in sorted(model.nodes, reverse=True)]
        return [_node(node, images) for node in nodes if node.name != "Root"]


def _node(node: Any, images: int) -> Node:
    """Convert a node of tf.data's protocol buffer, after `images` have passed through it."""
    return Node(
        name=node.name,
        parameters={value.name: value.state_value for value in node.parameters},
        autotuned=[value.name for value in node.parameters if value.tunable],
        processing_s=node.processing_time / 1e9 / images,
        buffered_bytes=max(0, node.buffered_bytes),
    )


def autotuned_values(nodes: list[Node]) -> list[str]:
    """Return the values that AUTOTUNE chose, such as `Prefetch buffer_size 2`."""
    return [
        f"{node.name} {name} {node.parameters[name]:g}" for node in nodes for name in node.autotuned
    ]
