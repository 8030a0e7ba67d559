"""Measures a plan: blocks of all trials interleaved, each trial in its own process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import numpy as np

from feedbench.bench.environment import conditions
from feedbench.bench.errors import TrialError
from feedbench.bench.meters.block import Meters
from feedbench.bench.meters.gpu import find_gpus, free_gpu_memory
from feedbench.bench.meters.process import available_memory
from feedbench.bench.plan.plan import Choice, Plan
from feedbench.bench.record import CacheState, Conditions, SamePixels, Trial, present, write_trials
from feedbench.bench.trials.cache_state import check_cold
from feedbench.bench.trials.child import Child, close_all
from feedbench.bench.trials.messages import (
    TRIAL_WORKER,
    BlockDone,
    BlockRequest,
    Message,
    TrialJob,
    Warm,
    Warming,
)
from feedbench.loaders import Augment, BatchSpec, Manifest, find_loader, parse_settings

MANIFEST = "manifest.parquet"
_HEADROOM = 1.3  # of the largest trial's memory, left free before another is started


@dataclass(frozen=True)
class Event:
    """Something that a person who waits may want to see.

    Attributes:
        pid: of the trial's process, None once it is gone.
        images: warmed up so far, of `of` that are needed.
        rate: of the block that was just timed, images a second.
        done: blocks timed or given up so far, of `blocks`.
    """

    kind: Literal["starting", "warming", "warm", "block", "failed"]
    choice: Choice
    done: int
    blocks: int
    pid: int | None = None
    images: int = 0
    of: int = 0
    rate: float = 0.0
    reason: str = ""


Report = Callable[[Event], None]


def run(
    plan: Plan,
    manifest: Manifest,
    folder: Path,
    report: Report,
    left_out: dict[str, int] | None = None,
    pixels: dict[str, SamePixels] | None = None,
) -> list[Trial]:
    """Measure every trial of the plan; what is done is in the folder even after Ctrl-C.

    Args:
        left_out: how many rows of the source are not in the manifest, by reason; for the record.
        pixels: what was found of each choice's pixels, by its text; likewise.

    Raises:
        PlanError: the blocks are to be cold, and the files cannot be evicted.
        RecordError: the folder cannot be written.
    """
    if plan.timing.cache_state == "cold":
        check_cold(manifest)
    manifest.write(folder / MANIFEST)
    bench = Bench(plan, manifest, folder, report, left_out, pixels)
    try:
        for turn in range(plan.timing.blocks):
            for index in _interleaved(plan, turn):
                bench.one_block(index, turn)
            write_trials(folder, bench.trials)
    finally:
        bench.close()
        write_trials(folder, bench.trials)
    return bench.trials


def _interleaved(plan: Plan, turn: int) -> list[int]:
    """A new seeded order of the trials in each round, so that drift hits all alike."""
    drawn = np.random.default_rng([plan.timing.seed, turn]).permutation(len(plan.choices))
    return [int(index) for index in drawn]


class Bench:
    """The trials' records and their live processes.

    Attributes:
        choices: what is measured, one per trial.
        trials: the records so far, in the same order; each is replaced as its trial proceeds.
        conditions: under which all of them are measured.
    """

    def __init__(
        self,
        plan: Plan,
        manifest: Manifest,
        folder: Path,
        report: Report,
        left_out: dict[str, int] | None = None,
        pixels: dict[str, SamePixels] | None = None,
    ) -> None:
        self._plan = plan
        self._images = len(manifest)
        self._left_out = left_out or {}
        self._pixels = pixels or {}
        self._folder = folder
        self._report = report
        self._gpus = find_gpus()
        self._live: dict[int, Child] = {}
        self._spent_s: list[float] = []
        self.conditions: Conditions = conditions(manifest)
        self.choices: list[Choice] = []
        self.trials: list[Trial] = []
        for choice in plan.choices:
            self.add(choice)

    def add(self, choice: Choice) -> int:
        """One more trial; its index."""
        self.choices.append(choice)
        self.trials.append(self._new_trial(choice))
        self._spent_s.append(0.0)
        return len(self.trials) - 1

    def end(self, index: int) -> None:
        """End a trial's process; its next block would start it again."""
        if index in self._live:
            self._live.pop(index).close()

    def one_block(self, index: int, turn: int) -> None:
        """Time one block of a trial, starting it first if need be; a failure is recorded."""
        if self.trials[index].error is not None:
            return
        begin = monotonic()
        try:
            child = self._live.pop(index, None) or self._start(index)
            self._live[index] = child
            self._time(index, turn, child)
        except TrialError as error:
            self._update(index, error=str(error))
            self._tell("failed", index, reason=str(error))
            self.end(index)
        finally:
            self._spent_s[index] += monotonic() - begin

    def close(self) -> None:
        """End every process."""
        close_all(self._live)

    def _start(self, index: int) -> Child:
        self._make_room()
        logs = self._folder / "logs"
        logs.mkdir(exist_ok=True)
        child = Child(TRIAL_WORKER, self._job(index), logs / f"trial-{index:02}.log")
        self._live[index] = child
        self._tell("starting", index, pid=child.pid)
        warming = partial(self._warming, index, child.pid)
        warm = child.wait_for(Warm, self._left_s(index), "warm-up", warming)
        child.pause()
        self._update(index, warm_ups=[*self.trials[index].warm_ups, warm.warm_up])
        self._tell("warm", index, pid=child.pid)
        return child

    def _job(self, index: int) -> TrialJob:
        choice = self.choices[index]
        return TrialJob(
            manifest=self._folder.absolute() / MANIFEST,
            loader=choice.loader,
            settings=choice.settings,
            spec=_spec(self._plan, choice),
            failures=self._plan.failures,
            recipe=self._plan.recipe,
            consumer=self._plan.consumer,
            accelerator=self._plan.accelerator,
            warm_up_s=self._plan.timing.warm_up_seconds,
            cache_state=_cache_state(self._plan, choice),
        )

    def _warming(self, index: int, pid: int, message: Message) -> None:
        if isinstance(message, Warming):
            self._tell("warming", index, pid=pid, images=message.images, of=message.of)

    def _time(self, index: int, turn: int, child: Child) -> None:
        request = BlockRequest(seconds=self._plan.timing.block_seconds)
        with Meters(self._gpus) as meters:
            done = child.ask(request, BlockDone, self._left_s(index), "a block")
        block, trial = meters.complete(done.block, turn), self.trials[index]
        self._update(
            index,
            blocks=[*trial.blocks, block],
            dropped=done.dropped,
            peak_memory_bytes=max(trial.peak_memory_bytes, done.peak_memory_bytes),
        )
        self._tell("block", index, pid=child.pid, rate=block.images_per_second)

    def _update(self, index: int, **values: Any) -> None:
        self.trials[index] = self.trials[index].model_copy(update=values)

    def _left_s(self, index: int) -> float:
        return max(1.0, self._plan.timing.time_limit - self._spent_s[index])

    def _make_room(self) -> None:
        """End the processes that were used longest ago while another would not fit beside them.

        An ended trial warms up again before its next block.
        """
        need = max((trial.peak_memory_bytes for trial in self.trials), default=0) * _HEADROOM
        while self._live and (available_memory() < need or self._gpus_are_full()):
            oldest = next(iter(self._live))
            self._live.pop(oldest).close()

    def _gpus_are_full(self) -> bool:
        free = [free_gpu_memory(handle) for _, handle in self._gpus]
        held = [
            size
            for trial in self.trials
            for block in trial.blocks
            for gpu in block.gpus
            for size in present(gpu.memory_bytes)
        ]
        return bool(free and held) and min(free) < min(held) * _HEADROOM

    def _tell(self, kind: Any, index: int, **values: Any) -> None:
        blocks = self._plan.timing.blocks
        done = sum(
            blocks if trial.error is not None else len(trial.blocks) for trial in self.trials
        )
        self._report(Event(kind, self.choices[index], done, blocks * len(self.trials), **values))

    def _new_trial(self, choice: Choice) -> Trial:
        plan, settings = self._plan, parse_settings(find_loader(choice.loader), choice.settings)
        return Trial(
            **dict(self.conditions),
            loader=choice.loader,
            settings=choice.settings,
            all_settings=settings.model_dump(),
            consumer=plan.consumer,
            spec=_spec(plan, choice).model_dump(mode="json", exclude_none=True),
            augment=choice.augment,
            recipe=plan.recipe.model_dump(mode="json"),
            accelerator=plan.accelerator.model_dump() if plan.accelerator else None,
            images=self._images,
            cache_state=_cache_state(plan, choice),
            left_out=self._left_out,
            pixels=self._pixels.get(str(choice)),
        )


def _spec(plan: Plan, choice: Choice) -> BatchSpec:
    if choice.augment is None:
        return plan.spec
    return plan.spec.model_copy(update={"augment": Augment.model_validate(choice.augment)})


def _cache_state(plan: Plan, choice: Choice) -> CacheState | None:
    """What reads no file has no state of the page cache to prove."""
    return plan.timing.cache_state if find_loader(choice.loader).is_choice else None
