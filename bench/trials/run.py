"""Measures a plan: each trial runs in its own process, and blocks of all trials interleave."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from feedbench.bench.environment import conditions
from feedbench.bench.errors import TrialError
from feedbench.bench.meters.gpu import free_gpu_memory, training_gpus
from feedbench.bench.plan.plan import Choice, Plan
from feedbench.bench.record import (
    TRIALS,
    Conditions,
    SamePixels,
    Trial,
    own_of,
    write_trials,
)
from feedbench.bench.trials.cache_state import check_cold
from feedbench.bench.trials.child import Child, close_all
from feedbench.bench.trials.events import EventKind, OnEvent, TrialEvent
from feedbench.bench.trials.protocol import (
    BlockRequest,
    Message,
    TrialJob,
    WarmUpDone,
    WarmUpProgress,
)
from feedbench.bench.trials.timer import Timer
from feedbench.loaders import (
    Manifest,
    available_memory,
    find_loader,
    parse_settings,
)

MANIFEST = "manifest.parquet"
_HEADROOM = 1.3  # free memory needed to start a trial, relative to the largest trial so far


def run(
    plan: Plan,
    manifest: Manifest,
    folder: Path,
    on_event: OnEvent,
    left_out: dict[str, int] | None = None,
    pixels: dict[str, SamePixels] | None = None,
    choose: Callable[[list[Trial]], int | None] | None = None,
) -> list[Trial]:
    """Measure every trial of the plan and return their records.

    The records are written to the folder after each block.

    Args:
        plan: what to measure.
        manifest: the images.
        folder: for records and logs.
        on_event: called with the progress.
        left_out: number of rows of the source that are not in the manifest, by reason.
        pixels: result of the pixel check for each choice, by `str(choice)`.
        choose: called after the last round; the trial whose index it returns is timed alone in as
            many blocks again.

    Raises:
        PlanError: blocks must be cold, but the files cannot be evicted.
        RecordError: the folder cannot be written.
    """
    if plan.timing.cache_state == "cold":
        check_cold(manifest)
    manifest.write(folder / MANIFEST)
    bench = Bench(plan, manifest, folder, on_event, left_out, pixels)
    try:
        for round_index in range(plan.timing.blocks):
            for index in order_of_round(plan, round_index):
                bench.time_block(index, round_index)
                write_trials(folder, bench.trials)
        if choose is not None and (winner := choose(bench.trials)) is not None:
            for round_index in bench.rounds_alone(winner):
                bench.time_block(winner, round_index)
                write_trials(folder, bench.trials)
    finally:
        # First the record: closing may take seconds, in which a second Ctrl-C may come.
        write_trials(folder, bench.trials)
        bench.close()
    return bench.trials


def write_unmeasured(
    plan: Plan, manifest: Manifest, folder: Path, left_out: dict[str, int] | None
) -> None:
    """Write the trials of a run that was interrupted before it had written any."""
    if not (folder / TRIALS).exists():
        write_trials(folder, Bench(plan, manifest, folder, lambda event: None, left_out).trials)


def order_of_round(plan: Plan, round_index: int) -> list[int]:
    """Return the trials in an order drawn for each round, so that drift affects all equally."""
    rng = np.random.default_rng([plan.timing.seed, round_index])
    return [int(index) for index in rng.permutation(len(plan.choices))]


class DeadlinePassed(Exception):
    """A warm-up or a block was not finished when all measuring had to end."""


class Bench:
    """The records of all trials and their running processes.

    Attributes:
        deadline: when all measuring must end, as of `time.monotonic`.
        choices: loader and settings of each trial.
        trials: the record of each trial so far; replaced whenever it grows.
        conditions: the images, the machine and the versions, equal for all trials.
    """

    def __init__(
        self,
        plan: Plan,
        manifest: Manifest,
        folder: Path,
        on_event: OnEvent,
        left_out: dict[str, int] | None = None,
        pixels: dict[str, SamePixels] | None = None,
    ) -> None:
        self._plan = plan
        self._images = len(manifest)
        self._left_out = left_out or {}
        self._pixels = pixels or {}
        self._folder = folder
        self._on_event = on_event
        self._gpus = training_gpus()
        self._timer = Timer(manifest, self._gpus)
        self.deadline = inf
        self._round = 0  # of the block that is timed now or next
        self._live: dict[int, Child] = {}  # in the order of their last block
        self._gpu_bytes: dict[int, int] = {}  # held by each trial after its warm-up
        self.conditions: Conditions = conditions(manifest)
        self.choices: list[Choice] = []
        self.trials: list[Trial] = []
        for choice in plan.choices:
            self.add(choice)

    def add(self, choice: Choice) -> int:
        """Add a trial and return its index."""
        self.choices.append(choice)
        self.trials.append(self._new_trial(choice))
        return len(self.trials) - 1

    def end(self, index: int) -> None:
        """End a trial's process; its next block starts a new one."""
        if index in self._live:
            self._live.pop(index).close()

    def time_block(self, index: int, round_index: int) -> None:
        """Time one block of a trial, starting its process if necessary; record a failure.

        If it lacks memory or the GPU, all other processes are ended, and it has a second try alone.

        Raises:
            DeadlinePassed: there was not enough time; no failure is recorded.
        """
        if self.trials[index].error is not None:
            return
        self._round = round_index
        error = self._try_block(index, round_index)
        if error and self._live and _may_fit_alone(str(error)):
            close_all(self._live)
            error = self._try_block(index, round_index)
        if error:
            self._update(index, error=str(error), traceback=error.details or None)
            self._notify("failed", index)

    def _try_block(self, index: int, round_index: int) -> TrialError | None:
        """Time one block; return why it failed, once its process has ended, or None."""
        try:
            child = self._live.pop(index, None) or self._start(index)
            self._live[index] = child
            self._measure(index, round_index, child)
        except TrialError as error:
            self.end(index)
            if monotonic() >= self.deadline:
                raise DeadlinePassed from error
            return error
        return None

    def rounds_alone(self, index: int) -> range:
        """Mark a trial as chosen; return the rounds in which it is timed once more."""
        rounds = self._plan.timing.blocks
        self._update(index, chosen_before=rounds)
        return range(rounds, 2 * rounds)

    def close(self) -> None:
        """End every process."""
        close_all(self._live)

    def _start(self, index: int) -> Child:
        self._make_room()
        free = free_gpu_memory(self._gpus)
        logs = self._folder / "logs"
        logs.mkdir(exist_ok=True)
        child = self._timer.start(self._job(index), logs / f"trial-{index:02}.log")
        self._live[index] = child
        self._notify("starting", index, pid=child.pid)
        on_progress = partial(self._on_warm_up, index, child.pid)
        done = child.wait_for(WarmUpDone, self._limit_s(), "warm-up", on_progress)
        child.pause()
        left = free_gpu_memory(self._gpus)
        if free is not None and left is not None:
            self._gpu_bytes[index] = free - left
        warm_ups = [*self.trials[index].warm_ups, done.warm_up]
        model = done.model and done.model.model_dump()
        self._update(index, warm_ups=warm_ups, device=done.device, model=model)
        facts = {"batch_size": done.batch_size, "image_size": done.image_size}
        self._update_own(index, rows=done.rows_known, **facts)
        self._notify("warm", index, pid=child.pid)
        return child

    def _job(self, index: int) -> TrialJob:
        choice = self.choices[index]
        return TrialJob(
            manifest=self._folder.absolute() / MANIFEST,
            loader=choice.loader,
            settings=choice.settings,
            spec=self._plan.spec_of(choice),
            failures=self._plan.failures,
            recipe=self._plan.recipe,
            consumer=self._plan.consumer,
            accelerator=self._plan.accelerator,
            warm_up_s=self._plan.timing.warm_up_seconds,
            cache_state=self._plan.cache_state_of(choice),
        )

    def _on_warm_up(self, index: int, pid: int, message: Message) -> None:
        if isinstance(message, WarmUpProgress):
            images, needed = message.images, message.needed
            self._notify("warming", index, pid=pid, images=images, images_needed=needed)

    def _measure(self, index: int, round_index: int, child: Child) -> None:
        timing, trial = self._plan.timing, self.trials[index]
        request = BlockRequest(seconds=timing.block_seconds, min_steps=timing.block_steps)
        self._notify("timing", index, pid=child.pid)
        done = self._timer.time(child, self._job(index), request, self._limit_s(), round_index)
        self._update(
            index,
            blocks=[*trial.blocks, done.block],
            dropped=done.dropped,
            peak_memory_bytes=max(trial.peak_memory_bytes, done.peak_memory_bytes),
        )
        if done.coverage is not None:
            left_out, repeated = done.coverage
            self._update_own(index, left_out=left_out, repeated=repeated)
        self._notify("block", index, pid=child.pid)

    def _limit_s(self) -> float:
        """Return the time limit of a warm-up or a block that begins now."""
        return min(self._plan.timing.time_limit, max(0.0, self.deadline - monotonic()))

    def _update(self, index: int, **values: Any) -> None:
        self.trials[index] = self.trials[index].model_copy(update=values)

    def _update_own(self, index: int, **values: Any) -> None:
        """Update what the record says of the user's function, if a trial has one."""
        if (own := self.trials[index].own) is not None:
            self._update(index, own=own.model_copy(update=values))

    def _make_room(self) -> None:
        """End the least recently used processes until another one fits into memory.

        The trial of a process that was ended warms up again before its next block.
        """
        need = max((trial.peak_memory_bytes for trial in self.trials), default=0) * _HEADROOM
        while self._live and (available_memory() < need or self._is_gpu_full()):
            oldest = next(iter(self._live))
            self._live.pop(oldest).close()

    def _is_gpu_full(self) -> bool:
        """Whether the GPU has no room for another trial like the largest so far."""
        free = free_gpu_memory(self._gpus)
        return free is not None and free < max(self._gpu_bytes.values(), default=0) * _HEADROOM

    def _notify(self, kind: EventKind, index: int, **values: Any) -> None:
        blocks = [
            self._plan.timing.blocks * (1 if trial.chosen_before is None else 2)
            for trial in self.trials
        ]
        done = sum(
            count if trial.error is not None else len(trial.blocks)
            for count, trial in zip(blocks, self.trials, strict=True)
        )
        self._on_event(
            TrialEvent(
                kind,
                self.choices[index],
                done,
                sum(blocks),
                index,
                self.trials[index],
                self._round,
                **values,
            )
        )

    def _new_trial(self, choice: Choice) -> Trial:
        plan, settings = self._plan, parse_settings(find_loader(choice.loader), choice.settings)
        return Trial(
            **dict(self.conditions),
            loader=choice.loader,
            own=own_of(choice.loader),
            settings=choice.settings,
            all_settings=settings.model_dump(),
            consumer=plan.consumer,
            spec=plan.spec_of(choice).model_dump(mode="json", exclude_none=True),
            augment=choice.augment,
            recipe=plan.recipe.model_dump(mode="json"),
            accelerator=plan.accelerator.model_dump() if plan.accelerator else None,
            images=self._images,
            cache_state=plan.cache_state_of(choice),
            left_out=self._left_out,
            pixels=self._pixels.get(str(choice)),
        )


def _may_fit_alone(error: str) -> bool:
    """Whether a trial failed for lack of memory, or since a GPU takes only one process at a time.

    CUDA spells the first CUDA_ERROR_OUT_OF_MEMORY as well.
    """
    text = error.lower().replace("_", " ")
    return "out of memory" in text or "device(s) is/are busy or unavailable" in text
