"""What a child process and its parent send each other: one message per line, as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from feedbench.bench.consumers.transfer import DEVICE
from feedbench.bench.plan.accelerators import Accelerator
from feedbench.bench.plan.plan import Failures
from feedbench.bench.record import CacheState, ConsumerName, Dropped, TimedBlock, WarmUp
from feedbench.bench.trials.block import LEAST_STEPS
from feedbench.loaders import BatchSpec
from feedbench.trainer import Recipe

LEAST_WARM_STEPS = 3


class Message(BaseModel):
    """A job, a request or an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


M = TypeVar("M", bound=Message)


def encode(message: Message) -> str:
    """The line of a message: its class and its fields, ASCII alone whatever paths hold."""
    return json.dumps({type(message).__name__: message.model_dump(mode="json")}) + "\n"


def decode(line: str, kinds: Iterable[type[M]]) -> M:
    """The message of a line, of one of these classes.

    Raises:
        ValueError: the line holds none of them.
    """
    try:
        ((name, values),) = json.loads(line).items()
        return {kind.__name__: kind for kind in kinds}[name].model_validate(values)
    except (AttributeError, KeyError) as error:
        raise ValueError(f"not a message that is expected here: {error}") from error


@dataclass(frozen=True)
class Service:
    """A child's main.

    Attributes:
        module: run as `python -m`.
        answers: all kinds of messages that it sends, `Failed` apart.
    """

    module: str
    answers: tuple[type[Message], ...]


class Failed(Message):
    """Any child's last answer if its job failed."""

    reason: str


class TrialJob(Message):
    """Feed a consumer by a loader.

    Attributes:
        device: that a consumer `transfer` copies to.
        cache_state: of the files in every block; None as they happen to be.
        others_evict: whether another process may evict files between two blocks.
    """

    manifest: Path
    loader: str
    settings: dict[str, Any] = {}
    spec: BatchSpec
    failures: Failures = Failures()
    consumer: Literal["transfer"] | ConsumerName
    recipe: Recipe = Recipe()
    accelerator: Accelerator | None = None
    device: str = DEVICE
    cache_state: CacheState | None = None
    warm_up_s: float
    least_warm_steps: int = LEAST_WARM_STEPS
    others_evict: bool = False


class Warming(Message):
    """Sent about once a second while a trial warms up.

    Attributes:
        images: fed so far, of the `of` that are needed.
    """

    images: int
    of: int


class Warm(Message):
    """A trial is ready for its first block."""

    warm_up: WarmUp


class BlockRequest(Message):
    """Time a block of at least so many seconds and steps."""

    seconds: float
    least_steps: int = LEAST_STEPS


class BlockDone(Message):
    """A block is timed.

    Attributes:
        dropped: all images that the loader has dropped so far.
    """

    block: TimedBlock
    peak_memory_bytes: int
    dropped: list[Dropped] = []


TRIAL_WORKER = Service("feedbench.bench.trials.worker", (Warming, Warm, BlockDone))
