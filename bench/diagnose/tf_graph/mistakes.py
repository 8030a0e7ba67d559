"""The usual mistakes in a tf.data pipeline, each with the line to change and what to write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from feedbench.bench.diagnose.tf_graph.align import aligned
from feedbench.bench.diagnose.tf_graph.changes import (
    cached,
    inserted,
    parallel,
    prefetched,
    reworked,
)
from feedbench.bench.diagnose.tf_graph.edited import with_argument
from feedbench.bench.diagnose.tf_graph.finding import Finding
from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tf_graph.order_rules import ORDER_RULES
from feedbench.bench.diagnose.tf_graph.settings_passed import parallel_argument
from feedbench.bench.diagnose.tf_graph.stages import BATCHES, GraphStage
from feedbench.bench.diagnose.tf_graph.threads import stage_work

_PASSIVE = ("with_options", "repeat", "take", "skip", "ignore_errors")
_AUTOTUNE = "num_parallel_calls=tf.data.AUTOTUNE"
_BYTES = 4  # a float32 has this many times the bytes of a uint8


def find_mistakes(
    graph: Graph, memory: int | None = None, other_s: float | None = None
) -> list[Finding]:
    """Return all mistakes and advice, from the source to the batches.

    Args:
        memory: bytes that a cache may take; None: no cache is advised.
        other_s: CPU seconds per image for the same images without Python, where it was measured.
    """
    found = [finding for rule in _RULES for finding in rule(graph.stages)]
    found += [*_no_prefetch(graph), *_serial_map(graph), *_random_before_cache(graph)]
    found += _python(graph, other_s)
    if memory is not None:
        found += _no_cache(graph, memory)
    return sorted(found, key=lambda finding: (finding.advice, finding.stage))


def _no_prefetch(graph: Graph) -> Iterator[Finding]:
    active = [stage for stage in graph.stages if stage.method not in _PASSIVE]
    if active and active[-1].method == "prefetch":
        return
    is_added = any(node.name == "Prefetch" for node in graph.as_is.nodes[-1:])
    yield Finding(
        "no prefetch",
        len(graph.stages) - 1,
        "Nothing is prefetched after the last stage; here tf.data adds a prefetch by itself, which "
        "not every version does."
        if is_added
        else "Nothing is prefetched after the last stage, so a batch is prepared only while the "
        "consumer waits for it.",
        ".prefetch(tf.data.AUTOTUNE) as the last call",
        prefetched,
        advice=is_added,
    )


def _serial_map(graph: Graph) -> Iterator[Finding]:
    nodes = graph.as_is.nodes
    for number, indices in enumerate(aligned(nodes, graph.stages)):
        stage = graph.stages[number]
        if not stage.own or stage.method != "map" or stage.parallel is not None:
            continue
        is_parallel = bool(indices) and nodes[indices[-1]].parameters.get("parallelism", 1) > 1
        yield Finding(
            "serial map",
            number,
            f"{_without(stage)}; tf.data runs it in parallel by itself, since its function has no "
            "state."
            if is_parallel
            else f"{_without(stage)}, so that one thread does its work.",
            _with_parallel(stage),
            parallel(number),
            advice=is_parallel,
            bound=stage.python,
        )


def _serial_interleave(stages: Sequence[GraphStage]) -> Iterator[Finding]:
    for number, stage in enumerate(stages):
        if stage.own and stage.method == "interleave" and stage.parallel is None:
            yield Finding(
                "serial interleave",
                number,
                f"{_without(stage)}, so that its files are read one at a time.",
                _with_parallel(stage),
                parallel(number),
            )


def _serial_reads(stages: Sequence[GraphStage]) -> Iterator[Finding]:
    source = stages[0]
    if source.own and source.method.startswith("TFRecordDataset") and source.parallel is None:
        if source.files == 1:
            return
        yield Finding(
            "serial reads",
            0,
            "TFRecordDataset has no num_parallel_reads, so that its files are read one at a time.",
            "TFRecordDataset(..., num_parallel_reads=tf.data.AUTOTUNE)",
            parallel(0),
        )


def _without(stage: GraphStage) -> str:
    """How a stage comes to be serial."""
    if stage.parallel_none:
        return "num_parallel_calls is None here"
    return f"{stage.method} has no num_parallel_calls"


def _with_parallel(stage: GraphStage) -> str:
    """What to write for a stage that is serial: the user's line, and the setting that it passes."""
    method, argument = stage.method.removesuffix("V2"), parallel_argument(stage.method)
    line = with_argument(stage.text, method, argument, "tf.data.AUTOTUNE")
    written = line or f".{method}(..., {argument.name}=tf.data.AUTOTUNE)"
    if not stage.setting:
        return written
    return f"{written}; or add --set {stage.setting}=-1 to the command, which is AUTOTUNE"


def _float_resize(stages: Sequence[GraphStage]) -> Iterator[Finding]:
    for number, stage in enumerate(stages):
        if stage.own and stage.float_resize:
            yield Finding(
                "float32 before resizing",
                number,
                "Images become float32 in full size, before they are resized: four times the bytes "
                "of all pixels that resizing drops.",
                "tf.image.resize on the uint8 image; convert its result",
                None,
                unknown="the function was timed as a whole, not its conversion",
            )


def _deterministic(stages: Sequence[GraphStage]) -> Iterator[Finding]:
    for number, stage in enumerate(stages):
        if stage.own and stage.ordered:
            yield Finding(
                "deterministic",
                number,
                "deterministic=True makes images that are ready wait for one that is not.",
                "deterministic=False, if the order need not be the same in every run",
                None,
                unknown="it depends on how much the times of single images differ",
                advice=True,
            )


def _floats_in_batch(stages: Sequence[GraphStage]) -> Iterator[Finding]:
    for number, stage in enumerate(stages[1:], 1):
        if stage.own and stage.method in BATCHES and stages[number - 1].floats:
            yield Finding(
                "float32 batches",
                number,
                "Images are batched, and copied to the device, as float32: four times the bytes of "
                "uint8.",
                "tf.cast(image, tf.uint8) after resizing, and keras.layers.Rescaling in the model",
                reworked(number, 1 / _BYTES),
                advice=True,
            )


def _light_map(stages: Sequence[GraphStage]) -> Iterator[Finding]:
    for number, (stage, after) in enumerate(pairwise(stages)):
        if stage.own and stage.light and not stage.random and after.method == "batch":
            yield Finding(
                "map before batch",
                number,
                "A function that only computes element by element is called once per image; once "
                "per batch is enough.",
                ".batch(...) first, then .map(...)",
                None,
                unknown="the time of a call was not measured apart from that of its work",
                advice=True,
            )


_RULES: tuple[Callable[[Sequence[GraphStage]], Iterator[Finding]], ...] = (
    _serial_reads,
    _serial_interleave,
    _float_resize,
    _floats_in_batch,
    _light_map,
    _deterministic,
    *ORDER_RULES,
)


def _random_before_cache(graph: Graph) -> Iterator[Finding]:
    """Random images that the first epoch fixes; the work saved by that comes back."""
    stages, work = graph.stages, stage_work(graph)
    for number, stage in enumerate(stages):
        if stage.method != "cache":
            continue
        drawn = [
            n for n, other in enumerate(stages[:number]) if other.random and other.method == "map"
        ]
        if drawn:
            first = stages[drawn[0]]
            yield Finding(
                "cache after random augmentation",
                number,
                "cache keeps the images as the first epoch augmented them, so every epoch sees the "
                f"same ones; the random function is in line {first.line}.",
                "cache() before the random map, not after it",
                inserted(number, sum(work[drawn[0] : number]), is_parallel=bool(first.parallel)),
            )


def _python(graph: Graph, other_s: float | None) -> Iterator[Finding]:
    """Python that is called per image: by `from_generator`, or by a function of a stage."""
    work = stage_work(graph)
    for number, stage in enumerate(graph.stages):
        if not stage.own or not stage.python or stage.batched:
            continue
        is_generator = stage.method == "from_generator"
        what = "from_generator runs" if is_generator else f"The function of {stage.method} runs"
        yield Finding(
            "from_generator" if is_generator else "Python per image",
            number,
            f"{what} Python for each image, in one thread at a time.",
            "TensorFlow's own operations, such as tf.io.read_file and tf.io.decode_jpeg, in "
            f".map(..., {_AUTOTUNE})",
            reworked(number, work_s=work[number] if other_s is None else other_s),
            bound=other_s is None,
        )


def _no_cache(graph: Graph, memory: int) -> Iterator[Finding]:
    """Decoded images that fit into memory, and are decoded in every epoch."""
    stages = graph.stages
    if any(stage.method in ("cache", "snapshot") for stage in stages):
        return
    fixed = _before_chance(stages)
    for number in range(len(fixed) - 1, -1, -1):
        stage = stages[number]
        if not any(other.decodes or other.python for other in stages[: number + 1]):
            return
        if stage.own and stage.elements and stage.element_bytes:
            size = stage.elements * stage.element_bytes
            if size <= memory:
                yield Finding(
                    "no cache",
                    number,
                    f"Images are decoded in every epoch, and would take {size / 1e9:.2f} GB of "
                    "memory.",
                    _cache_after(stage, stages[number + 1 :]),
                    cached(number),
                    advice=True,
                )
            return


def _cache_after(stage: GraphStage, later: Sequence[GraphStage]) -> str:
    is_shuffled = any(other.method == "shuffle" for other in later)
    order = "" if is_shuffled else ", and .shuffle(...) after it: a cache keeps the order"
    return f".cache() right after this {stage.method}{order}"


def _before_chance(stages: Sequence[GraphStage]) -> Sequence[GraphStage]:
    """The stages before the first batch or random function."""
    for number, stage in enumerate(stages):
        if stage.random or stage.batched or stage.method in ("repeat", "prefetch"):
            return stages[:number]
    return stages
