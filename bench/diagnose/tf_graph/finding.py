"""What can be wrong with a user's tf.data pipeline, and where."""

from __future__ import annotations

from dataclasses import dataclass

from feedbench.bench.diagnose.tf_graph.changes import Change, unchanged


@dataclass(frozen=True)
class Finding:
    """A mistake, or a piece of advice.

    Attributes:
        name: of the kind of mistake.
        stage: index of the stage whose line is to be changed.
        sentence: what is wrong.
        write: what to write instead.
        change: what that does to the pipeline's threads; None if only a measurement can tell.
        unknown: why nothing else can; empty if there is a change.
        advice: whether the pipeline is right as it is, and could be faster.
        bound: whether the predicted gain is an upper bound.
    """

    name: str
    stage: int
    sentence: str
    write: str
    change: Change | None = unchanged
    unknown: str = ""
    advice: bool = False
    bound: bool = False
