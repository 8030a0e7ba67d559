"""The stage that does most of the work of a user's tf.data pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tf_graph.stages import GraphStage
from feedbench.bench.diagnose.tf_graph.threads import is_timed, stage_work


class SlowestStage(NamedTuple):
    """A stage, and the work of an image in it.

    Attributes:
        work_s: seconds on one thread.
        share: of the work of all stages.
    """

    stage: GraphStage
    work_s: float
    share: float

    @property
    def text(self) -> str:
        """The stage with its line, such as `map in pipeline.py, line 13`."""
        line = f"{Path(self.stage.file).name}, line {self.stage.line}"
        return f"{self.stage.method} in {line if self.stage.file else 'an unknown line'}"


def slowest_stage(graph: Graph) -> SlowestStage | None:
    """Return the stage with most work; None if the times of the stages were not measured."""
    work = stage_work(graph)
    if not work or not is_timed(graph):
        return None
    number = max(range(len(work)), key=work.__getitem__)
    return SlowestStage(graph.stages[number], work[number], work[number] / (sum(work) or 1.0))
