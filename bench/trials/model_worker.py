"""The process that builds a user's own model once, to say what it is and what batches it takes."""

from __future__ import annotations

from feedbench.bench.consumers.own_batches import check_for_model
from feedbench.bench.consumers.own_model import build_model, find_builder
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Choice
from feedbench.bench.trials.model_facts import Compared, FirstBatches, ModelFacts, ModelJob
from feedbench.bench.trials.serve import Channel, serve
from feedbench.loaders import BatchSpec, Manifest, find_loader, open_loader, parse_settings
from feedbench.trainer import (
    OwnModel,
    RecipeError,
    check_inputs,
    check_outputs,
    check_trainable,
    declares_batches,
    input_facts,
    leave_gpu_to_backend,
)


def describe(job: ModelJob, channel: Channel) -> None:
    """Build the model and answer with its `ModelFacts`, then compare batches if that is asked."""
    leave_gpu_to_backend()
    builder = find_builder(job.recipe.network)
    own = build_model(builder, job.recipe, job.image_size, job.classes)
    check_trainable(own)
    if job.images:
        check_inputs(own, made_up=job.made_up)
        check_outputs(own, job.classes)
    model = own.model
    channel.answer(
        ModelFacts(
            origin=builder.origin,
            image_size=input_facts(model).side,
            compiled=bool(model.compiled),
        )
    )
    for request in channel.requests(FirstBatches):
        channel.answer(Compared(fault=_fault(own, request)))


def _fault(own: OwnModel, request: FirstBatches) -> str:
    """Return what is wrong with the first batches; empty if nothing is known to be."""
    if not declares_batches(own.model):
        return ""
    manifest = Manifest.read(request.manifest)
    try:
        for choice in request.choices:
            _check_first(own, choice, request.spec, manifest)
    except (PlanError, RecipeError) as error:
        return str(error)
    return ""


def _check_first(own: OwnModel, choice: Choice, spec: BatchSpec, manifest: Manifest) -> None:
    loader = find_loader(choice.loader)
    assert loader.own is not None
    settings = parse_settings(loader, choice.settings)
    with open_loader(choice.loader, manifest, spec, settings) as stream:
        check_for_model(next(stream), own, loader.own)


if __name__ == "__main__":
    serve(ModelJob, describe)
