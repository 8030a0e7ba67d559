"""Measures each part with everything else taken away, in interleaved short blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic

import numpy as np

from feedbench.bench.diagnose.autotune import Node
from feedbench.bench.diagnose.messages import STAGE_WORKER, StageJob, StagesReady
from feedbench.bench.diagnose.record import Diagnosed
from feedbench.bench.diagnose.setup import Pace, Probe, Question, Setup
from feedbench.bench.diagnose.stages import encoded_bytes, stages_of, why_not_cold
from feedbench.bench.environment import conditions
from feedbench.bench.errors import PlanError, TrialError
from feedbench.bench.meters.block import Meters
from feedbench.bench.meters.gpu import find_gpus
from feedbench.bench.meters.process import available_memory, tree_memory
from feedbench.bench.trials.child import Child, close_all
from feedbench.bench.trials.messages import TRIAL_WORKER, BlockDone, TrialJob, WarmUpDone
from feedbench.bench.trials.run import MANIFEST
from feedbench.loaders import Manifest, find_loader, parse_settings
from feedbench.loaders.cores import usable_cores
from feedbench.loaders.stages.stage import Stages

_TRIAL_LIMIT_S = 600.0
_WARM_SHARE = 0.5  # of the memory that is left, which the files may take and still be kept
_HEADROOM = 1.5  # times the first trainer's memory, free before a second is started
_LEAST_ROUNDS = 3  # below it an interval says nothing

Say = Callable[[str], None]


def diagnose(
    question: Question, manifest: Manifest, folder: Path, say: Say, pace: Pace | None = None
) -> Diagnosed:
    """Measure all parts; what fails is recorded in its part.

    Raises:
        PlanError: it is to be measured cold, and files cannot be evicted or are not read.
        LoaderError: what the loader reads does not fit the rows or the spec.
        TrialError: loader, consumer or both together could not be measured at all.
    """
    pace = pace or Pace()
    kept = (folder / MANIFEST).absolute()
    manifest.write(kept)
    loader = find_loader(question.choice.loader)
    settings = parse_settings(loader, question.choice.settings)
    stages = stages_of(loader, manifest, question.spec, settings)
    begun = _begun(question, manifest, stages)
    session = _Session(Setup(question, begun, stages, kept, pace), folder, say)
    try:
        session.measure()
    finally:
        session.close()
    record = session.record()
    for part in record.parts:
        if part.name in ("loader", "consumer", "end to end") and not part.blocks:
            raise TrialError(f"{part.name}: {part.error}")
    return record


def _begun(question: Question, manifest: Manifest, stages: Stages) -> Diagnosed:
    encoded = encoded_bytes(stages, manifest)
    not_cold = why_not_cold(stages, manifest)
    if question.cache_state == "cold" and not_cold:
        raise PlanError(not_cold)
    fits = encoded < _WARM_SHARE * available_memory()
    return Diagnosed(
        **dict(conditions(manifest)),
        loader=question.choice.loader,
        settings=question.choice.settings,
        consumer=question.consumer,
        accelerator=question.accelerator.model_dump() if question.accelerator else None,
        spec=question.spec.model_dump(mode="json", exclude_none=True),
        recipe=question.recipe.model_dump(mode="json"),
        cache_state=question.cache_state or ("warm" if fits or not_cold else "cold"),
        not_cold=not_cold,
        images=len(manifest),
        encoded_bytes=encoded,
        decoded_bytes=len(manifest) * 3 * question.spec.image_size**2,
        faster_storage=question.faster_storage,
        other_image_size=question.other_image_size,
        cores=usable_cores(),
        available_memory_bytes=available_memory(),
        on_gpu=bool(find_gpus()),
    )


class _Session:
    """The live processes of one diagnosis."""

    def __init__(self, setup: Setup, folder: Path, say: Say) -> None:
        self._begun = setup.begun
        self._folder = folder
        self._say = say
        self._pace = setup.pace
        self._gpus = find_gpus()
        self._live: dict[str, Child] = {}
        self._apart = False
        self._autotuned: list[Node] | None = None
        self._jobs = setup.jobs()
        self._probes = setup.probes()

    def record(self) -> Diagnosed:
        """All that is measured so far."""
        parts = [probe.part for probe in self._probes]
        return self._begun.model_copy(
            update={"parts": parts, "apart": self._apart, "autotuned": self._autotuned}
        )

    def measure(self) -> None:
        """Start everything, then time rounds until there are enough or the time is spent."""
        begin = monotonic()
        for key in self._jobs:
            if not self._has_room(key):
                self._finish_consumer()
            self._start(key)
        slowest = 0.0
        for turn in range(self._pace.rounds):
            begun = monotonic()
            if turn >= _LEAST_ROUNDS and begun - begin + slowest > self._pace.budget_s:
                break
            for index in np.random.default_rng([0, turn]).permutation(len(self._probes)):
                self._block(self._probes[int(index)], turn)
            slowest = max(slowest, monotonic() - begun)
            self._say(f"round {turn + 1}: {slowest:.0f} s")

    def _has_room(self, key: str) -> bool:
        """Whether a second trainer fits beside the first; all other processes are small."""
        first = self._live.get("consumer")
        if key != "end to end" or first is None:
            return True
        return available_memory() > _HEADROOM * tree_memory(first.pid)

    def _finish_consumer(self) -> None:
        """Time the consumer alone now, and let its memory go; the record says so."""
        self._say("consumer: measured before the rest, since two would not fit into memory")
        self._apart = True
        for turn in range(_LEAST_ROUNDS):
            for probe in self._of("consumer"):
                self._block(probe, turn)
        if "consumer" in self._live:
            self._live.pop("consumer").close()

    def close(self) -> None:
        """End every process."""
        close_all(self._live)

    def _start(self, key: str) -> None:
        self._say(f"starting: {key}")
        logs = self._folder / "logs"
        logs.mkdir(exist_ok=True)
        job, log = self._jobs[key], logs / f"{key.replace(' ', '-')}.log"
        child = Child(STAGE_WORKER if isinstance(job, StageJob) else TRIAL_WORKER, job, log)
        self._live[key] = child
        try:
            start_s = self._ready(child, job)
        except TrialError as error:
            self._give_up(key, str(error))
            return
        for probe in self._of(key):
            probe.update(start_s=start_s)

    def _ready(self, child: Child, job: TrialJob | StageJob) -> float:
        """Wait until a process can be asked for blocks, and pause it; its seconds to start."""
        if isinstance(job, StageJob):
            ready = child.wait_for(StagesReady, _TRIAL_LIMIT_S, "warm-up")
            start_s, self._autotuned = ready.start_s, ready.autotuned
        else:
            start_s = child.wait_for(WarmUpDone, _TRIAL_LIMIT_S, "warm-up").warm_up.start_s
        child.pause()
        return start_s

    def _block(self, probe: Probe, turn: int) -> None:
        child = self._live.get(probe.key)
        if child is None:
            return
        try:
            with Meters(self._gpus) as meters:
                done = child.ask(probe.request, BlockDone, _TRIAL_LIMIT_S, "a block")
        except TrialError as error:
            self._give_up(probe.key, str(error))
            return
        probe.update(blocks=[*probe.part.blocks, meters.complete(done.block, turn)])

    def _give_up(self, key: str, error: str) -> None:
        self._say(f"{key}: {error}")
        self._live.pop(key).close()
        for probe in self._of(key):
            probe.update(error=error)

    def _of(self, key: str) -> list[Probe]:
        return [probe for probe in self._probes if probe.key == key]
