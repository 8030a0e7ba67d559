"""The record of a diagnosis before anything is measured."""

from __future__ import annotations

from feedbench.bench.diagnose.record import DiagnosisRecord
from feedbench.bench.diagnose.setup import DiagnosisPlan
from feedbench.bench.diagnose.stages import encoded_bytes, impossible_states
from feedbench.bench.environment import conditions
from feedbench.bench.errors import PlanError
from feedbench.bench.loader_facts import own_of
from feedbench.bench.meters.gpu import training_gpus
from feedbench.bench.trials.sample import WARM_SHARE
from feedbench.loaders import Manifest, available_memory, usable_cores
from feedbench.loaders.stages import Stages


def new_record(
    plan: DiagnosisPlan, manifest: Manifest, images: int, stages: Stages
) -> DiagnosisRecord:
    """Return the record of a plan on this machine, without any part.

    Args:
        manifest: the rows that are measured.
        images: number of images of which they were drawn.

    Raises:
        PlanError: files cannot be brought into the state that was asked for, or are not read.
    """
    size = round(encoded_bytes(stages, manifest) * images / len(manifest))
    concurrency, cores = stages.concurrency, usable_cores()
    impossible = impossible_states(stages, manifest)
    if plan.cache_state in impossible:
        raise PlanError(impossible[plan.cache_state])
    fits = size < WARM_SHARE * available_memory() and "warm" not in impossible
    return DiagnosisRecord(
        **dict(conditions(manifest)),
        loader=plan.choice.loader,
        settings=plan.choice.settings,
        own=own_of(plan.choice.loader),
        consumer=plan.consumer,
        accelerator=plan.accelerator.model_dump() if plan.accelerator else None,
        spec=plan.spec.model_dump(mode="json", exclude_none=True),
        recipe=plan.recipe.model_dump(mode="json"),
        cache_state=plan.cache_state or ("warm" if fits or "cold" in impossible else "cold"),
        not_cold=impossible.get("cold"),
        images=images,
        sampled=len(manifest) if len(manifest) < images else None,
        encoded_bytes=size,
        decoded_bytes=images * 3 * plan.spec.image_size**2,
        faster_storage=plan.faster_storage,
        other_image_size=plan.other_image_size,
        rewrite=plan.rewrite,
        cores=cores,
        kind=concurrency.kind if concurrency else None,
        workers=(concurrency.workers or cores) if concurrency else None,
        most_workers=concurrency.most_workers if concurrency else None,
        copies_apart=_copies_apart(stages),
        available_memory_bytes=available_memory(),
        on_gpu=bool(training_gpus()),  # until the trainer says which device it uses
    )


def _copies_apart(stages: Stages) -> bool:
    pipelined = stages.concurrency is not None and stages.concurrency.kind == "pipelined"
    return pipelined and not stages.copies_in_parallel
