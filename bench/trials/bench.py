"""The trials of a run: their records, and what happens to their processes."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from functools import partial
from math import inf
from pathlib import Path
from time import monotonic
from typing import Any

from feedbench.bench.environment import conditions
from feedbench.bench.errors import TrialError
from feedbench.bench.loader_facts import own_of
from feedbench.bench.plan.plan import Choice, Plan
from feedbench.bench.record import Conditions, Dropped, SamePixels, Stopped, Trial
from feedbench.bench.trials.child import Child
from feedbench.bench.trials.delivery import delivery_of
from feedbench.bench.trials.early_stop import Judgement, blocks_alone
from feedbench.bench.trials.events import EventKind, OnEvent, TrialEvent
from feedbench.bench.trials.feasibility import may_be_large, may_fit_alone
from feedbench.bench.trials.processes import Processes
from feedbench.bench.trials.protocol import BlockRequest, Message, TrialJob, WarmUpProgress
from feedbench.bench.trials_file import write_trials
from feedbench.loaders import Manifest, find_loader, parse_settings

MANIFEST = "manifest.parquet"


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
        judged_after: Sequence[int] = (),
        rounds: int | None = None,
    ) -> None:
        self._plan = plan
        self._images = len(manifest)
        self._left_out = left_out or {}
        self._pixels = pixels or {}
        self._planned: dict[str, Any] = {"judged_after": list(judged_after), "rounds": rounds}
        self._folder = folder
        self._on_event = on_event
        self._processes = Processes(manifest, folder)
        self._before: dict[int, Trial] = {}  # the records when the present processes started
        self.deadline = inf
        self._round = 0  # of the block that is timed now or next
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

    def end(self, *indices: int) -> None:
        """End the processes of trials; their next blocks start new ones."""
        self._processes.end(*indices)

    def start_together(self, indices: Iterable[int]) -> None:
        """Start processes side by side, as many at a time as cores and memory allow.

        They stop after their first step, and warm up one by one, each right before its first
        block. Those for which there is no memory start then, too, and so do all that have to find
        their files on the disk.

        Raises:
            DeadlinePassed: there was not enough time; no failure is recorded.
        """
        if self._plan.timing.cache_state == "cold":
            return
        waiting = deque(index for index in indices if self._is_unstarted(index))
        starting: deque[int] = deque()
        while waiting or starting:
            while waiting and self._may_start():
                starting.append(waiting.popleft())
                self._start(starting[-1])
            if not starting:
                return
            try:
                self._await_first_step(starting.popleft())
            except DeadlinePassed:
                self.end(*starting)  # or they would run while a last block is timed
                raise

    def time_block(self, index: int, round_index: int) -> None:
        """Time one block of a trial, starting its process if necessary; record a failure.

        With fresh processes, its process ends after the block. If it lacks memory or the GPU, all
        other processes are ended, and it has a second try alone.

        Raises:
            DeadlinePassed: there was not enough time; no failure is recorded.
        """
        if self._is_over(index):
            return
        self._round = round_index
        error = self._try_block(index, round_index)
        if error and self._processes and may_fit_alone(str(error)):
            self._processes.close()
            error = self._try_block(index, round_index)
        if error:
            self._fail(index, error)
        elif self._plan.timing.fresh_processes:
            self.end(index)

    def stop(self, judgement: Judgement, rounds: int) -> bool:
        """End the trials that need no more blocks, and return whether none does."""
        slower = judgement.slower_than
        for index, trial in enumerate(self.trials):
            is_needless = index in slower or judgement.is_decided
            if is_needless and trial.error is None and trial.stopped is None:
                faster = str(self.choices[slower[index]]) if index in slower else None
                self._update(index, stopped=Stopped(rounds=rounds, slower_than=faster))
                self._notify("stopped", index)
        self.end(*slower)
        return judgement.is_decided

    def rounds_alone(self, index: int, rounds: int) -> range:
        """Mark a trial as chosen after these rounds; return those in which it is timed again."""
        self._update(index, chosen_before=rounds)
        return range(rounds, rounds + blocks_alone(self._plan.timing, rounds))

    def write(self) -> None:
        """Write the records.

        Raises:
            RecordError: the folder cannot be written.
        """
        write_trials(self._folder, self.trials)

    def close(self) -> None:
        """End every process."""
        self._processes.close()

    def _is_over(self, index: int) -> bool:
        """Whether a trial gets no more blocks; one that has won is timed alone."""
        trial = self.trials[index]
        has_stopped = trial.stopped is not None and trial.chosen_before is None
        return trial.error is not None or has_stopped

    def _is_unstarted(self, index: int) -> bool:
        return index not in self._processes and not self._is_over(index)

    def _may_start(self) -> bool:
        """Whether one more process may start beside those that do.

        The memory that a large trainer needs is known after its first step.
        """
        peak_bytes = self._peak_bytes()
        if not peak_bytes and self._processes.are_starting and may_be_large(self._plan):
            return False
        return self._processes.may_start_beside(peak_bytes)

    def _try_block(self, index: int, round_index: int) -> TrialError | None:
        """Time one block; return why it failed, once its process has ended, or None."""
        try:
            self._measure(index, round_index, self._ready(index))
        except TrialError as error:
            self._end_failed(index, error)
            return error
        return None

    def _end_failed(self, index: int, error: TrialError) -> None:
        self.end(index)
        if monotonic() >= self.deadline:
            raise DeadlinePassed from error

    def _fail(self, index: int, error: TrialError) -> None:
        """Record a failure; trials that were stopped since this one is faster go on."""
        self._update(index, error=str(error), traceback=error.details or None)
        for other, trial in enumerate(self.trials):
            if trial.stopped and trial.stopped.slower_than == str(self.choices[index]):
                self._update(other, stopped=None)
        self._notify("failed", index)

    def _ready(self, index: int) -> Child:
        """Return the process of a trial, started and warmed up."""
        if index not in self._processes:
            self._processes.make_room(self._peak_bytes())
            self._start(index)
            self._wait_for_first_step(index)
        if not self._processes.is_warm(index):
            self._warm_up(index)
        return self._processes.use(index)

    def _start(self, index: int) -> None:
        self._before[index] = self.trials[index]
        child = self._processes.start(index, self._job(index))
        self._notify("starting", index, pid=child.pid)

    def _await_first_step(self, index: int) -> None:
        """Wait for a process that was started beside others; record why it failed.

        One that may fit alone has a second try when its first block is due.
        """
        try:
            self._wait_for_first_step(index)
        except TrialError as error:
            self._end_failed(index, error)
            if not may_fit_alone(str(error)):
                self._fail(index, error)

    def _wait_for_first_step(self, index: int) -> None:
        held_bytes = self._processes.wait_for_first_step(index, self._limit_s())
        peak_bytes = max(self.trials[index].peak_memory_bytes, held_bytes)
        self._update(index, peak_memory_bytes=peak_bytes)

    def _warm_up(self, index: int) -> None:
        pid = self._processes.use(index).pid
        on_progress = partial(self._on_warm_up, index, pid)
        done = self._processes.warm_up(index, self._limit_s(), on_progress)
        warm_ups = [*self.trials[index].warm_ups, done.warm_up]
        model = done.model and done.model.model_dump()
        used = {"device": done.device, "devices": done.devices}
        self._update(index, warm_ups=warm_ups, model=model, **used)
        facts = done.model_dump(include={"batch_size", "image_size", "value_range"})
        self._update_own(index, rows=done.rows_known, **facts)
        self._notify("warm", index, pid=pid)

    def _on_warm_up(self, index: int, pid: int, message: Message) -> None:
        if isinstance(message, WarmUpProgress):
            images, needed = message.images, message.needed
            self._notify("warming", index, pid=pid, images=images, images_needed=needed)

    def _measure(self, index: int, round_index: int, child: Child) -> None:
        timing, trial = self._plan.timing, self.trials[index]
        request = BlockRequest(seconds=timing.block_seconds, min_steps=timing.block_steps)
        self._notify("timing", index, pid=child.pid)
        timer, limit_s = self._processes.timer, self._limit_s()
        done = timer.time(child, self._job(index), request, limit_s, round_index)
        self._update(
            index,
            blocks=[*trial.blocks, done.block],
            dropped=_all_dropped(self._before[index].dropped, done.dropped),
            peak_memory_bytes=max(trial.peak_memory_bytes, done.peak_memory_bytes),
            **delivery_of(self._before[index], trial, done),
        )
        self._notify("block", index, pid=child.pid)

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
            devices=self._plan.devices_of(choice),
            waits=True,
            warm_up_s=self._plan.timing.warm_up_seconds,
            cache_state=self._plan.cache_state_of(choice),
        )

    def _limit_s(self) -> float:
        """Return the time limit of a warm-up or a block that begins now."""
        return min(self._plan.timing.time_limit, max(0.0, self.deadline - monotonic()))

    def _peak_bytes(self) -> int:
        """Return the peak memory of the largest trial so far; 0 before any was timed."""
        return max((trial.peak_memory_bytes for trial in self.trials), default=0)

    def _update(self, index: int, **values: Any) -> None:
        self.trials[index] = self.trials[index].model_copy(update=values)

    def _update_own(self, index: int, **values: Any) -> None:
        """Update what the record says of the user's function, if a trial has one."""
        if (own := self.trials[index].own) is not None:
            self._update(index, own=own.model_copy(update=values))

    def _notify(self, kind: EventKind, index: int, **values: Any) -> None:
        counts = [self._blocks_of(trial) for trial in self.trials]
        done = sum(
            count if trial.error is not None else len(trial.blocks)
            for count, trial in zip(counts, self.trials, strict=True)
        )
        choice, trial = self.choices[index], self.trials[index]
        self._on_event(
            TrialEvent(kind, choice, done, sum(counts), index, trial, self._round, **values)
        )

    def _blocks_of(self, trial: Trial) -> int:
        """Return how many blocks a trial gets in all, as far as it is known."""
        timing = self._plan.timing
        rounds = timing.blocks if trial.stopped is None else trial.stopped.rounds
        return rounds if trial.chosen_before is None else rounds + blocks_alone(timing, rounds)

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
            alone=choice.alone,
            recipe=plan.recipe.model_dump(mode="json"),
            accelerator=plan.accelerator.model_dump() if plan.accelerator else None,
            images=self._images,
            cache_state=plan.cache_state_of(choice),
            left_out=self._left_out,
            **self._planned,
            pixels=self._pixels.get(str(choice)),
            why_not_once=find_loader(choice.loader).why_not_once(settings),
        )


def _all_dropped(before: Sequence[Dropped], now: Sequence[Dropped]) -> list[Dropped]:
    """Return the images that failed in earlier processes of a trial, or in the present one."""
    return list({(one.row, one.path): one for one in (*before, *now)}.values())
