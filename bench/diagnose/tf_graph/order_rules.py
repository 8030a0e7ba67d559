"""Mistakes in the order of images: what every epoch repeats, and what stays together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from feedbench.bench.diagnose.tf_graph.finding import Finding
from feedbench.bench.diagnose.tf_graph.stages import GraphStage


def _small_shuffle(stages: Sequence[GraphStage]) -> Iterator[Finding]:
    for number, stage in enumerate(stages[1:], 1):
        elements, size = stages[number - 1].elements, stage.buffer_size
        if any(other.shuffles_all for other in stages[:number]):
            return
        if stage.own and stage.method == "shuffle" and elements and size and size < elements:
            yield Finding(
                "small shuffle buffer",
                number,
                f"The shuffle buffer holds {size:,} of {elements:,} elements, so that batches stay "
                "close to the order of the files.",
                f".shuffle({elements}) on paths, before images are decoded",
            )


def _shuffle_before_cache(stages: Sequence[GraphStage]) -> Iterator[Finding]:
    methods = [stage.method for stage in stages]
    for number, stage in enumerate(stages):
        shuffled = any(one.method == "shuffle" or one.shuffles_all for one in stages[:number])
        if stage.own and stage.method == "cache" and shuffled and "shuffle" not in methods[number:]:
            yield Finding(
                "cache after shuffle",
                number,
                "cache keeps the order of the first epoch, so every epoch has the same batches.",
                ".shuffle(...) after cache(), not before it",
            )


def _shuffle_after_batch(stages: Sequence[GraphStage]) -> Iterator[Finding]:
    for number, stage in enumerate(stages[1:], 1):
        if stage.own and stage.method == "shuffle" and stages[number - 1].batched:
            yield Finding(
                "shuffle after batch",
                number,
                "shuffle comes after batch, so that whole batches change places and the images "
                "within a batch stay together.",
                "shuffle before batch",
            )


def _repeat_before_shuffle(stages: Sequence[GraphStage]) -> Iterator[Finding]:
    methods = [stage.method for stage in stages]
    for number, stage in enumerate(stages):
        if stage.own and stage.method == "shuffle" and "repeat" in methods[:number]:
            yield Finding(
                "repeat before shuffle",
                number,
                "repeat comes before shuffle, so that epochs mix: some images come twice before "
                "others come once.",
                "shuffle before repeat",
            )


def _generator_before_cache(stages: Sequence[GraphStage]) -> Iterator[Finding]:
    source = stages[0]
    for number, stage in enumerate(stages):
        if stage.method == "cache" and source.method == "from_generator" and source.random:
            yield Finding(
                "cache after random generator",
                number,
                "cache keeps what the generator drew in the first epoch, its order and its random "
                f"augmentation, so every epoch has the same; the generator is in line "
                f"{source.line}.",
                ".shuffle(...) and a random .map(...) after cache(), instead of random numbers in "
                "the generator",
            )


ORDER_RULES: tuple[Callable[[Sequence[GraphStage]], Iterator[Finding]], ...] = (
    _small_shuffle,
    _shuffle_before_cache,
    _shuffle_after_batch,
    _repeat_before_shuffle,
    _generator_before_cache,
)
