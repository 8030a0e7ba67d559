"""How a training runs: checkpoints, logs, unreadable images; not what is trained."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

from feedbench.bench.cluster.hosts import Cluster
from feedbench.bench.plan.plan import Failures


def _exit(line: str, code: int) -> None:
    with suppress(OSError):  # it is closed, or a log on a full disk
        sys.stderr.write(f"feedbench: {line}\n")
        sys.stderr.flush()
    os._exit(code)


def _nobody(why: str) -> None:
    pass


@dataclass
class Farewell:
    """Whom this process tells that a signal ends it while its main thread does something else.

    Attributes:
        tell: called with why, in words that follow the name of this process.
    """

    tell: Callable[[str], None] = _nobody


@dataclass(frozen=True)
class CheckpointPolicy:
    """How often a training writes a checkpoint within an epoch; it writes one after each anyway.

    Attributes:
        seconds: seconds between two checkpoints; 0 disables this criterion.
        steps: steps between two checkpoints; 0 disables this criterion.
    """

    seconds: float = 300.0
    steps: int = 0


@dataclass(frozen=True)
class TrainingOptions:
    """How a training runs. The folder does not store these; a resumed run may use others.

    Attributes:
        checkpoints: when checkpoints are written within an epoch.
        failures: what happens when an image cannot be read.
        tensorboard: whether logs for TensorBoard are written.
        profile: first and last step to profile, counted from 1 in this process; implies
            `tensorboard`.
        resume: whether to resume from the checkpoint in the folder.
        rows: fingerprint of the training images of the source, unreadable ones included; None if it
            is not known.
        cluster: the workers that train together, and which this is; None for one machine.
        end_at_once: ends this process with a line and an exit code, whatever its main thread does.
        farewell: has the other workers while there are any.
    """

    checkpoints: CheckpointPolicy = CheckpointPolicy()
    failures: Failures = field(default_factory=Failures)
    tensorboard: bool = True
    profile: tuple[int, int] | None = None
    resume: bool = False
    rows: str | None = None
    cluster: Cluster | None = None
    end_at_once: Callable[[str, int], None] = _exit
    farewell: Farewell = field(default_factory=Farewell)
