"""What tf.data's AUTOTUNE settled on: read from its own model of a pipeline that runs."""

from __future__ import annotations

from time import perf_counter
from typing import Any

from feedbench.bench.record import Record
from feedbench.loaders import BatchSpec, Loader, Manifest, Order, Request, Settings


class Node(Record):
    """One stage of the pipeline, as tf.data's model has it.

    Attributes:
        parameters: by name, what is in use now: `parallelism` is calls at once, `buffer_size` and
            the like are elements.
        autotuned: those of them that AUTOTUNE may change.
        processing_s: of all threads together, in the stage itself, for an image.
        buffered_bytes: that wait in it.
    """

    name: str
    parameters: dict[str, float]
    autotuned: list[str]
    processing_s: float
    buffered_bytes: int


def autotuned(
    loader: Loader, manifest: Manifest, spec: BatchSpec, settings: Settings, seconds: float
) -> list[Node]:
    """Drain the pipeline for so many seconds, then read its model; from the files to the batches.

    Empty where nothing is left to AUTOTUNE: without it there is no model.
    The settings it finds need longer than seconds to come to rest with some pipelines.
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
        return [_node(one, images) for one in nodes if one.name != "Root"]


def _node(one: Any, images: int) -> Node:
    return Node(
        name=one.name,
        parameters={value.name: value.state_value for value in one.parameters},
        autotuned=[value.name for value in one.parameters if value.tunable],
        processing_s=one.processing_time / 1e9 / images,
        buffered_bytes=max(0, one.buffered_bytes),
    )


def chosen(nodes: list[Node]) -> list[str]:
    """What AUTOTUNE settled on, by node; nothing where nothing was left to it."""
    return [
        f"{node.name} {name} {node.parameters[name]:g}" for node in nodes for name in node.autotuned
    ]
