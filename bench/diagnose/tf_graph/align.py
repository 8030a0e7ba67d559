"""Which node of tf.data's model stands for which stage of the user's code."""

from __future__ import annotations

import re
from collections.abc import Sequence

from feedbench.bench.diagnose.tf_graph.model_run import ChainNode
from feedbench.bench.diagnose.tf_graph.stages import GraphStage

_NAMES = {  # where a node is not called like the method
    "map": "Map|MapAndBatch",
    "batch": "Batch|MapAndBatch",
    "ragged_batch": "Batch|MapAndBatch",
    "cache": "MemoryCache|FileCache|Cache",
    "repeat": "ForeverRepeat|FiniteRepeat|Repeat|ShuffleAndRepeat",
    "shuffle": "Shuffle|ShuffleAndRepeat",
    "take": "FiniteTake|Take",
    "skip": "FiniteSkip|Skip",
    "enumerate": "Zip",
    "with_options": "Options",
}


def aligned(nodes: Sequence[ChainNode], stages: Sequence[GraphStage]) -> list[list[int]]:
    """Return the indices of the nodes of each stage; one node may stand for two stages.

    A node that no stage claims belongs to the stage whose node comes after it, as the nodes of a
    source do. Nodes after the last stage's own, which tf.data adds, belong to none.
    """
    heads = _heads(nodes, stages)
    found: list[list[int]] = []
    begin = 0
    for head in heads:
        if head is None:
            found.append([])
        elif head < begin:  # fused with the stage before
            found.append([head])
        else:
            found.append(list(range(begin, head + 1)))
            begin = head + 1
    return found


def _heads(nodes: Sequence[ChainNode], stages: Sequence[GraphStage]) -> list[int | None]:
    """The index of the node that each stage is called like, searched from the batches back."""
    heads: list[int | None] = []
    last = len(nodes) - 1
    for stage in reversed(stages[1:]):
        pattern = re.compile(rf"(Parallel)?({_names(stage)})(V\d+)?")
        # A fused node is met again; whatever lies before it can still come.
        fits = (number for number in range(last, -1, -1) if pattern.fullmatch(nodes[number].name))
        head = next(fits, None)
        heads.append(head)
        if head is not None:
            last = head if nodes[head].name == "MapAndBatch" and stage.method != "map" else head - 1
    return [last if last >= 0 else None, *reversed(heads)]


def _names(stage: GraphStage) -> str:
    """Return what its node may be called, as a part of a regular expression."""
    title = stage.method.replace("_", " ").title().replace(" ", "")
    return _NAMES.get(stage.method, re.escape(title))
