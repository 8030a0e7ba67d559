"""The gain of each change, from tf.data's model scaled to the measured rates."""

from __future__ import annotations

from dataclasses import dataclass, replace

from feedbench.bench.diagnose.tf_graph.changes import Pipeline
from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tf_graph.threads import Load, scaled, steps_of


@dataclass(frozen=True)
class Measured:
    """Median times of an image, in seconds.

    Attributes:
        loader_s: of the loader alone.
        consumer_s: of the consumer alone; 0 without one.
        both_s: end to end.
        consumer_cpu_s: CPU seconds of the consumer, on the cores that the loader has too.
    """

    loader_s: float
    consumer_s: float
    both_s: float
    consumer_cpu_s: float
    cores: int


def pipeline_of(graph: Graph, measured: Measured) -> Pipeline:
    """Return the pipeline whose time agrees with the measured ones.

    The work of all stages is scaled so that the dataset alone is as fast as measured. How far the
    host's work and the consumer's overlap follows from the time end to end.
    """
    alone = Load(0.0, graph.as_is.cpu_per_image_s, measured.cores)
    steps = steps_of(graph)
    modelled_s = Pipeline(tuple(steps), alone).image_s
    factor = measured.loader_s / modelled_s if modelled_s else 1.0
    load = Load(
        measured.consumer_s,
        alone.cpu_s * factor + measured.consumer_cpu_s,
        measured.cores,
    )
    return _with_overlap(Pipeline(tuple(scaled(steps, factor)), load), measured.both_s)


def _with_overlap(pipeline: Pipeline, both_s: float) -> Pipeline:
    """Return the pipeline with the overlap, of 0 to 1, by which it comes closest to a time."""
    least = replace(pipeline, load=replace(pipeline.load, overlap=0.0))
    span_s = pipeline.image_s - least.image_s
    if span_s <= 0:
        return pipeline
    share = min(1.0, max(0.0, (both_s - least.image_s) / span_s))
    return replace(pipeline, load=replace(pipeline.load, overlap=share))
