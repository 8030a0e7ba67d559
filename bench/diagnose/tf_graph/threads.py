"""The time of an image in a pipeline of threads, from the work of its stages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from feedbench.bench.diagnose.tf_graph.align import aligned
from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tf_graph.model_run import ChainNode
from feedbench.bench.diagnose.tf_graph.stages import GraphStage


@dataclass(frozen=True)
class Step:
    """A node of the pipeline as it runs.

    Attributes:
        work: seconds of one thread per image, by the index of each stage that it stands for; those
            of a node that tf.data adds have the index -1.
        workers: threads that share the work; None: the thread that asks for elements does it.
        buffers: whether it prepares elements while nobody asks.
    """

    work: Mapping[int, float]
    workers: float | None = None
    buffers: bool = False

    @property
    def work_s(self) -> float:
        """Seconds of one thread per image."""
        return sum(self.work.values())


@dataclass(frozen=True)
class Load:
    """What takes the batches, and what cores must do besides.

    Attributes:
        consumer_s: seconds per image of the consumer.
        cpu_s: CPU seconds per image of loader and consumer.
        overlap: 0: the consumer's device works while the host asks for a batch; 1: it does not.
    """

    consumer_s: float
    cpu_s: float
    cores: int
    overlap: float = 1.0


def steps_of(graph: Graph) -> list[Step]:
    """Return the pipeline as tf.data runs it, each with the work of its stages."""
    nodes = graph.as_is.nodes
    work = stage_work(graph)
    owners: dict[int, list[int]] = {}
    for stage, indices in enumerate(aligned(nodes, graph.stages)):
        if indices:
            owners.setdefault(indices[-1], []).append(stage)
    cached = _last_cache(graph)
    steps = []
    for number, node in enumerate(nodes):
        own = {stage: work[stage] * (stage > cached) for stage in owners.get(number, ())}
        steps.append(Step(own, _workers(node), _buffers(node)))
    return steps


def stage_work(graph: Graph) -> list[float]:
    """Return the seconds of one thread per image of each stage, without any cache."""
    kept = [number for number, stage in enumerate(graph.stages) if stage.method != "cache"]
    found = [0.0] * len(graph.stages)
    nodes = graph.plain.nodes
    for number, indices in zip(
        kept, aligned(nodes, [graph.stages[number] for number in kept]), strict=True
    ):
        found[number] = sum(nodes[index].own_s for index in indices)
    return found


def is_timed(graph: Graph) -> bool:
    """Whether tf.data's model still held stages before the batches when it was read."""
    batches = [number for number, stage in enumerate(graph.stages) if stage.batched]
    before = aligned(graph.plain.nodes, graph.stages)[: batches[0] if batches else None]
    return not before or any(before)


def _last_cache(graph: Graph) -> int:
    """The index of the last cache: from the second epoch on, nothing before it is done; else -1.

    The first node of a full cache would otherwise be taken for the source.
    """
    stages = graph.stages
    caches = [number for number, stage in enumerate(stages) if stage.method == "cache"]
    return max((number for number in caches if not _is_cut(stages[number:])), default=-1)


def _is_cut(stages: Sequence[GraphStage]) -> bool:
    """Whether `take` ends each epoch before a cache is full: what the cache has is then dropped."""
    return any(
        after.method == "take"
        and before.elements is not None
        and after.elements is not None
        and after.elements < before.elements
        for before, after in pairwise(stages)
    )


def _workers(node: ChainNode) -> float | None:
    if node.name == "Prefetch":
        return None
    return node.parameters.get("parallelism")


def _buffers(node: ChainNode) -> bool:
    return node.name == "Prefetch" or "parallelism" in node.parameters


def seconds_per_image(steps: Sequence[Step], load: Load) -> float:
    """Return the time of an image: that of the slowest thread, and no less than the cores need."""
    threads, current = [0.0], 0
    for step in reversed(steps):
        if step.workers is not None:
            threads.append(step.work_s / max(1.0, step.workers))
        else:
            threads[current] += step.work_s
        if step.buffers:
            threads.append(0.0)
            current = len(threads) - 1
    host, device = threads[0], load.consumer_s
    threads[0] = max(host, device) + load.overlap * min(host, device)
    return max(*threads, load.cpu_s / load.cores)


def scaled(steps: Sequence[Step], factor: float) -> list[Step]:
    """Return steps with more or less work."""
    return [
        replace(step, work={stage: seconds * factor for stage, seconds in step.work.items()})
        for step in steps
    ]
