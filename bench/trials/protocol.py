"""Messages between a child process and its parent: one line of JSON each."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from feedbench.bench.accelerator import Accelerator
from feedbench.bench.consumers.own_model import ModelFile
from feedbench.bench.consumers.transfer import DEVICE
from feedbench.bench.plan.plan import Failures
from feedbench.bench.record import CacheState, ConsumerName, Dropped, Losses, TimedBlock, WarmUp
from feedbench.bench.trials.block import MIN_STEPS
from feedbench.loaders import BatchSpec
from feedbench.trainer import ONE, Recipe

MIN_WARM_UP_STEPS = 3


class Message(BaseModel):
    """A job, a request or an answer."""

    model_config = ConfigDict(frozen=True, extra="forbid", ser_json_inf_nan="constants")


M = TypeVar("M", bound=Message)


def encode(message: Message) -> str:
    """Return the line of a message: its class and fields as JSON, in ASCII whatever it contains."""
    return json.dumps({type(message).__name__: message.model_dump(mode="json")}) + "\n"


def decode(line: str, kinds: Iterable[type[M]]) -> M:
    """Return the message of a line.

    Args:
        line: what `encode` returned.
        kinds: the classes that are expected.

    Raises:
        ValueError: the line is not a valid message of these classes.
    """
    try:
        ((name, values),) = json.loads(line).items()
        return {kind.__name__: kind for kind in kinds}[name].model_validate(values)
    except (AttributeError, KeyError) as error:
        raise ValueError(f"unexpected message: {error}") from error


@dataclass(frozen=True)
class Service:
    """A module that a child process runs.

    Attributes:
        module: name, run as `python -m`.
        answers: classes of the messages it sends, besides `Failed`.
    """

    module: str
    answers: tuple[type[Message], ...]


class Failed(Message):
    """The last answer of any child whose job failed.

    Attributes:
        details: traceback of the user's own code; empty if that did not fail.
    """

    reason: str
    details: str = ""


class TrialJob(Message):
    """Measure a loader that feeds a consumer.

    Attributes:
        device: the device that the consumer `transfer` copies to, if `devices` is one.
        devices: that train together: a number of GPUs, or cpu:N.
        cache_state: page-cache state into which the parent brings the files; if they must be
            cold, the worker evicts what it has consumed. None for no control.
        waits: whether to answer `Opened` after the first step, and to wait for a `WarmUpRequest`.
        warm_up_s: minimum duration of the warm-up, seconds.
        min_warm_up_steps: minimum number of steps of the warm-up.
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
    devices: str = ONE
    cache_state: CacheState | None = None
    waits: bool = False
    warm_up_s: float
    min_warm_up_steps: int = MIN_WARM_UP_STEPS


class Opened(Message):
    """The loader and its consumer are open, and the first step is done."""


class WarmUpRequest(Message):
    """Warm up; requested of a job that waits."""


class WarmUpProgress(Message):
    """Sent about once per second while a trial warms up.

    Attributes:
        images: number of images fed so far.
        needed: number of images that the warm-up needs.
    """

    images: int
    needed: int


class WarmUpDone(Message):
    """A trial is ready for its first block.

    Attributes:
        device: name of the GPU that is trained on, or `CPU`; None without a trainer.
        devices: TensorFlow's names of all that train together; empty without a trainer.
        pci_bus_id: where that GPU is on the bus; None if unknown, or if there are several.
        model: the file of the user's own model; None without one.
        rows_known: whether the batches say which images they hold.
        batch_size: images of the first batch.
        image_size: height and width of these; None if the batch is no array of images.
        value_range: least and greatest value of these, if a user's function gives floats.
    """

    warm_up: WarmUp
    device: str | None = None
    devices: list[str] = []
    pci_bus_id: str | None = None
    model: ModelFile | None = None
    rows_known: bool = True
    batch_size: int = 0
    image_size: tuple[int, int] | None = None
    value_range: tuple[float, float] | None = None


class BlockRequest(Message):
    """Time a block with a minimum duration and a minimum number of steps."""

    seconds: float
    min_steps: int = MIN_STEPS


class BlockDone(Message):
    """The result of a block.

    Attributes:
        block: raw times.
        rows: of all images that were consumed; only with a cache state.
        dropped: all images that the loader has dropped so far.
        coverage: the numbers of images that were left out and repeated; None for a loader that
            keeps the order.
        losses: what a service lost so far; None without one.
        before_cpu_s: CPU seconds that were used after the request, before the block began.
    """

    block: TimedBlock
    before_cpu_s: float = 0.0
    rows: list[int] = []
    dropped: list[Dropped] = []
    coverage: tuple[int, int] | None = None
    losses: Losses | None = None


TRIAL_WORKER = Service(
    "feedbench.bench.trials.worker", (Opened, WarmUpProgress, WarmUpDone, BlockDone)
)
