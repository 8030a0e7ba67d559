"""Measures a plan: blocks of all trials interleaved, each trial in its own process."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, Literal

import numpy as np

from feedbench.bench.errors import TrialError
from feedbench.bench.meters.block import Meters
from feedbench.bench.meters.gpu import find_gpus, free_gpu_memory
from feedbench.bench.meters.process import available_memory
from feedbench.bench.pixels.compare import Pixels
from feedbench.bench.plan.plan import Choice, Plan
from feedbench.bench.record import Block, Dropped, SamePixels, Trial, WarmUp, told, write_trials
from feedbench.bench.trials.cache_state import check_cold
from feedbench.bench.trials.child import Remote, close_all
from feedbench.loaders import Augment, Manifest, find_loader, parse_settings

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
    pixels: Pixels | None = None,
) -> list[Trial]:
    """Measure every trial of the plan; what is done is in the folder even after Ctrl-C.

    Args:
        left_out: how many rows of the source are not in the manifest, by reason; for the record.
        pixels: what was found of the loaders' pixels; likewise.

    Raises:
        PlanError: the blocks are to be cold, and the files cannot be evicted.
        RecordError: the folder cannot be written.
    """
    if plan.timing.cache_state == "cold":
        check_cold(manifest)
    manifest.write(folder / MANIFEST)
    bench = Bench(plan, manifest, folder, report, left_out)
    bench.note_pixels(pixels)
    try:
        for turn in range(plan.timing.blocks):
            for index in _interleaved(plan, turn):
                bench.one_block(index, turn)
            write_trials(folder, bench.trials)
    finally:
        bench.close()
        write_trials(folder, bench.trials)
    return bench.trials


def _checked(pixels: Pixels | None, *, allowed: bool) -> dict[str, SamePixels]:
    """The finding on each choice whose loader gave pixels."""
    if pixels is None:
        return {}
    return {
        str(Choice(loader=one.loader, settings=one.settings)): SamePixels(
            reference=pixels.reference,
            tolerance=pixels.tolerance,
            worst_mean=one.worst_mean,
            within=one.within,
            allowed=allowed,
        )
        for one in pixels.loaders
        if one.within is not None
    }


def _interleaved(plan: Plan, turn: int) -> list[int]:
    """A new seeded order of the trials in each round, so that drift hits all alike."""
    drawn = np.random.default_rng([plan.timing.seed, turn]).permutation(len(plan.choices))
    return [int(index) for index in drawn]


class Bench:
    """The trials' records and their live processes.

    Attributes:
        choices: what is measured, one a trial.
        trials: the records, in the same order.
    """

    def __init__(
        self,
        plan: Plan,
        manifest: Manifest,
        folder: Path,
        report: Report,
        left_out: dict[str, int] | None = None,
    ) -> None:
        self._plan = plan
        self._images = len(manifest)
        self._left_out = left_out or {}
        self._folder = folder
        self._report = report
        self._gpus = find_gpus()
        self._live: dict[int, Remote] = {}
        self._spent_s: list[float] = []
        self.choices: list[Choice] = []
        self.trials: list[Trial] = []
        for choice in plan.choices:
            self.add(choice)

    def add(self, choice: Choice) -> int:
        """One more trial; its index."""
        trial = _new_trial(self._plan, choice, self._images)
        trial.left_out = self._left_out
        self.choices.append(choice)
        self.trials.append(trial)
        self._spent_s.append(0.0)
        return len(self.trials) - 1

    def note_pixels(self, pixels: Pixels | None) -> None:
        """Enter what was found of the trials' pixels in their records."""
        checked = _checked(pixels, allowed=self._plan.pixels.allow_different)
        for trial, choice in zip(self.trials, self.choices, strict=True):
            trial.pixels = checked.get(str(choice))

    def end(self, index: int) -> None:
        """End a trial's process; its next block would start it anew."""
        if index in self._live:
            self._live.pop(index).close()

    def one_block(self, index: int, turn: int) -> None:
        """Time one block of a trial, starting it first if need be; a failure is recorded."""
        if self.trials[index].error is not None:
            return
        begin = monotonic()
        try:
            remote = self._live.pop(index, None) or self._start(index)
            self._live[index] = remote
            self._time(index, turn, remote)
        except TrialError as error:
            self.trials[index].error = str(error)
            self._tell("failed", index, reason=str(error))
            self.end(index)
        finally:
            self._spent_s[index] += monotonic() - begin

    def close(self) -> None:
        """End every process."""
        close_all(self._live)

    def _start(self, index: int) -> Remote:
        self._make_room()
        trial, timing = self.trials[index], self._plan.timing
        order = {
            "manifest": str(self._folder.absolute() / MANIFEST),
            "loader": trial.loader,
            "settings": trial.settings,
            "spec": trial.spec,
            "failures": self._plan.failures.model_dump(),
            "recipe": trial.recipe,
            "consumer": trial.consumer,
            "accelerator": trial.accelerator,
            "warm_up_s": timing.warm_up_seconds,
            "cache_state": trial.cache_state,
        }
        logs = self._folder / "logs"
        logs.mkdir(exist_ok=True)
        remote = Remote(order, logs / f"trial-{index:02}.log")
        self._live[index] = remote
        self._tell("starting", index, pid=remote.pid)
        answer = remote.await_warm(
            self._left_s(index),
            lambda sign: self._tell(
                "warming", index, pid=remote.pid, images=sign["images"], of=sign["of"]
            ),
        )
        answer.pop("event")
        trial.warm_ups.append(WarmUp(**answer))
        self._tell("warm", index, pid=remote.pid)
        return remote

    def _time(self, index: int, turn: int, remote: Remote) -> None:
        with Meters(self._gpus) as meters:
            answer = remote.time_block(self._plan.timing.block_seconds, self._left_s(index))
        block = Block.model_validate(answer["block"])
        block.round = turn
        meters.enter(block)
        trial = self.trials[index]
        trial.blocks.append(block)
        trial.dropped = [Dropped.model_validate(one) for one in answer["dropped"]]
        trial.peak_memory_bytes = max(trial.peak_memory_bytes, answer["peak_memory_bytes"])
        self._tell("block", index, pid=remote.pid, rate=block.images_per_second)

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
            for size in told(gpu.memory_bytes)
        ]
        return bool(free and held) and min(free) < min(held) * _HEADROOM

    def _tell(self, kind: Any, index: int, **values: Any) -> None:
        blocks = self._plan.timing.blocks
        done = sum(
            blocks if trial.error is not None else len(trial.blocks) for trial in self.trials
        )
        self._report(Event(kind, self.choices[index], done, blocks * len(self.trials), **values))


def _new_trial(plan: Plan, choice: Choice, images: int) -> Trial:
    settings = parse_settings(find_loader(choice.loader), choice.settings)
    # What reads no file has no state of the page cache to prove.
    state = plan.timing.cache_state if find_loader(choice.loader).is_choice else None
    changed = {} if choice.augment is None else {"augment": Augment.model_validate(choice.augment)}
    return Trial(
        loader=choice.loader,
        settings=choice.settings,
        all_settings=settings.model_dump(),
        consumer=plan.consumer,
        spec=plan.spec.model_copy(update=changed).model_dump(mode="json", exclude_none=True),
        augment=choice.augment,
        recipe=plan.recipe.model_dump(mode="json"),
        accelerator=plan.accelerator.model_dump() if plan.accelerator else None,
        images=images,
        cache_state=state,
    )
