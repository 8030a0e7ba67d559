"""The child process of a trial with a variant of a user's own function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from feedbench.bench.diagnose.own import repeats_first
from feedbench.bench.diagnose.tf_graph.recording import recorded
from feedbench.bench.diagnose.tf_graph.rewrite import rewritten
from feedbench.bench.trials.protocol import (
    BlockDone,
    Service,
    TrialJob,
    WarmUpDone,
    WarmUpProgress,
)
from feedbench.bench.trials.serve import Channel, serve
from feedbench.bench.trials.worker import run_trial
from feedbench.loaders import own_calls_within


class VariantJob(TrialJob):
    """Measure a variant of a user's own function.

    Attributes:
        variant: "first batch": the first batch, without end, which shows the consumer alone;
            "rewritten": the dataset without a mistake.
        mistake: its name.
        stage: index of the stage to rewrite.
    """

    variant: Literal["first batch", "rewritten"]
    mistake: str = ""
    stage: int = 0


def run_variant(job: VariantJob, channel: Channel) -> None:
    """Run the trial with the variant in the place of what the function returns."""
    around = repeats_first if job.variant == "first batch" else _rewriting(job)
    with own_calls_within(around):
        run_trial(job, channel)


def _rewriting(job: VariantJob) -> Callable[[Callable[[], Any]], Any]:
    def around(call: Callable[[], Any]) -> Any:
        with recorded() as recording:
            dataset = call()
        return rewritten(recording.chain(dataset), job.mistake, job.stage)

    return around


VARIANT_WORKER = Service(
    "feedbench.bench.diagnose.variant", (WarmUpProgress, WarmUpDone, BlockDone)
)


if __name__ == "__main__":
    serve(VariantJob, run_variant)
