"""The child process of a trial with a user's tf.data pipeline without one of its mistakes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

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
    """Measure a user's tf.data pipeline without a mistake.

    Attributes:
        mistake: its name.
        stage: index of the stage to rewrite.
    """

    mistake: str
    stage: int


def run_variant(job: VariantJob, channel: Channel) -> None:
    """Run the trial with the rewritten dataset in the place of what the function returns."""

    def around(call: Callable[[], Any]) -> Any:
        with recorded() as recording:
            dataset = call()
        return rewritten(recording.chain(dataset), job.mistake, job.stage)

    with own_calls_within(around):
        run_trial(job, channel)


VARIANT_WORKER = Service(
    "feedbench.bench.diagnose.variant", (WarmUpProgress, WarmUpDone, BlockDone)
)


if __name__ == "__main__":
    serve(VariantJob, run_variant)
