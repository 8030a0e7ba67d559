"""The process that builds a user's own model once, to say what it is."""

from __future__ import annotations

from feedbench.bench.consumers.own_model import build_model, find_builder
from feedbench.bench.trials.model_facts import ModelFacts, ModelJob
from feedbench.bench.trials.serve import Channel, serve
from feedbench.trainer import check_outputs, input_facts, leave_gpu_to_backend


def describe(job: ModelJob, channel: Channel) -> None:
    """Build the model and answer with its `ModelFacts`."""
    leave_gpu_to_backend()
    builder = find_builder(job.recipe.network)
    own = build_model(builder, job.recipe, job.image_size, job.classes)
    if not job.own_batches:
        check_outputs(own, job.classes)
    model = own.model
    channel.answer(
        ModelFacts(
            origin=builder.origin,
            image_size=input_facts(model).side,
            compiled=bool(model.compiled),
        )
    )


if __name__ == "__main__":
    serve(ModelJob, describe)
