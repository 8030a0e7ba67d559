"""The variants of a user's function that a diagnosis measures beside the function itself."""

from __future__ import annotations

from typing import NamedTuple

from feedbench.bench.diagnose.record import Part
from feedbench.bench.diagnose.tf_graph.finding import Finding
from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tf_graph.mistakes import find_mistakes
from feedbench.bench.diagnose.tf_graph.rewrite import rewrites
from feedbench.bench.diagnose.variant import VariantJob
from feedbench.bench.trials.protocol import TrialJob
from feedbench.loaders import LOADERS

CACHE_SHARE = 0.5  # of the available memory, which a cache may take


class Try(NamedTuple):
    """A variant to measure.

    Attributes:
        key: of its process.
        job: of its process.
        part: without blocks.
    """

    key: str
    job: TrialJob
    part: Part


def tries(
    job: TrialJob, graph: Graph, memory: int, epoch_steps: int, *, rewrite: bool
) -> list[Try]:
    """Return the variants that are worth measuring.

    Args:
        job: loader and consumer end to end.
        memory: bytes that a cache may take.
        epoch_steps: batches of an epoch, after which a cache is full.
        rewrite: whether to measure the dataset without each mistake.
    """
    found = [_reference(job, graph)] if _calls_python(graph) else []
    if rewrite:
        findings = [one for one in find_mistakes(graph, memory) if rewrites(one.name)]
        found += [_without(job, finding, epoch_steps) for finding in findings]
    return found


def _without(job: TrialJob, finding: Finding, epoch_steps: int) -> Try:
    """The user's pipeline without a mistake."""
    steps = max(job.min_warm_up_steps, epoch_steps if finding.name == "no cache" else 0)
    variant = VariantJob(
        **{**dict(job), "min_warm_up_steps": steps},
        mistake=finding.name,
        stage=finding.stage,
    )
    part = Part(
        name="rewritten",
        cache_state=job.cache_state,
        mistake=finding.name,
        stage=finding.stage,
    )
    return Try(f"rewritten {finding.name} {finding.stage}", variant, part)


def _calls_python(graph: Graph) -> bool:
    return any(stage.own and stage.python and not stage.batched for stage in graph.stages)


def _reference(job: TrialJob, graph: Graph) -> Try:
    """The same images by TensorFlow's own operations, in place of Python per image."""
    loader = next(one for one in LOADERS.values() if one.autotuning is not None)
    settings = {"output": "float32"} if graph.stages[-1].floats else {}
    values = {"loader": loader.name, "settings": settings, "consumer": "drain", "accelerator": None}
    part = Part(name="reference", cache_state=job.cache_state, settings=settings)
    return Try("reference", job.model_copy(update=values), part)
