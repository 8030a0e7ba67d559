"""What is measured of a user's dataset: its stages, and tf.data's model of it in two runs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pydantic import Field

from feedbench.bench.diagnose.tf_graph.model_run import ModelRun, run_epoch, run_model
from feedbench.bench.diagnose.tf_graph.recording import Call, rebuilt
from feedbench.bench.diagnose.tf_graph.stages import BATCHES, GraphStage, stages_in
from feedbench.bench.record import Record

_UNKNOWN_EPOCH = 1_000  # batches after which a cache is taken for full


class Graph(Record):
    """A user's dataset, as it was measured.

    Attributes:
        stages: from the source to the batches.
        as_is: the dataset as tf.data runs it: some stages fused, made parallel or added.
        plain: one node per stage: without tf.data's rewriting, without caches, without an end of
            the images before they are batched, and with one thread for all parallel calls, so that
            the threads do not wait for a core.
    """

    stages: list[GraphStage] = Field(min_length=1)
    as_is: ModelRun
    plain: ModelRun


def measured_graph(chain: list[Call], seconds: float) -> Graph:
    """Measure the dataset of a chain of calls.

    Args:
        seconds: minimum duration of each of the two runs.
    """
    stages = stages_in(chain)
    if any(stage.method == "cache" for stage in stages):
        run_epoch(chain[-1].dataset, _epoch(stages))
    return Graph(
        stages=stages,
        as_is=run_model(chain[-1].dataset, seconds),
        plain=run_model(_plain(chain), seconds),
    )


def _epoch(stages: list[GraphStage]) -> int:
    """A number of batches that an epoch does not exceed: with as few as one image per batch."""
    known = [stage.elements for stage in stages if stage.elements]
    return max(known, default=_UNKNOWN_EPOCH)


def _plain(chain: list[Call]) -> Any:
    import tensorflow as tf

    options = tf.data.Options()
    options.autotune.enabled = True
    options.threading.private_threadpool_size = 1
    options.experimental_optimization.apply_default_optimizations = False
    return rebuilt(chain, _endless(chain)).with_options(options)


def _endless(chain: list[Call]) -> Callable[[Call, Any], Any]:
    """What repeats the images before they are batched, so that every batch is a full one.

    At the end of its images, `batch` drops the nodes before it from tf.data's model. A shuffle
    buffer of batches, which could not be filled from a short epoch, holds one.
    """
    first = next(
        (number for number, call in enumerate(chain) if call.method in BATCHES), len(chain)
    )
    batched = {id(call) for call in chain[first + 1 :]}

    def change(call: Call, before: Any) -> Any:
        if call.method == "cache":
            return before
        if call.method == "shuffle" and id(call) in batched:
            return call.on(before, buffer_size=1)
        is_first = first < len(chain) and call is chain[first]
        return call.on(before.repeat() if is_first else before)

    return change
