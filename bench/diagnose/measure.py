"""Measures each part with everything else taken away, in short interleaved blocks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic

import numpy as np

from feedbench.bench.diagnose.autotune import Node
from feedbench.bench.diagnose.messages import STAGE_WORKER, StageJob, StagesReady
from feedbench.bench.diagnose.record import RECORD, DiagnosisRecord
from feedbench.bench.diagnose.setup import DiagnosisPlan, DiagnosisTiming, Measurement, Setup
from feedbench.bench.diagnose.stages import encoded_bytes, stages_of, why_not_cold
from feedbench.bench.environment import conditions
from feedbench.bench.errors import InterruptedRun, PlanError, TrialError
from feedbench.bench.files import write_model
from feedbench.bench.meters.block import Meters
from feedbench.bench.meters.gpu import find_gpus
from feedbench.bench.meters.process import tree_memory
from feedbench.bench.trials.child import Child, close_all
from feedbench.bench.trials.protocol import TRIAL_WORKER, BlockDone, TrialJob, WarmUpDone
from feedbench.bench.trials.run import MANIFEST
from feedbench.loaders import Manifest, available_memory, find_loader, parse_settings, usable_cores
from feedbench.loaders.stages import Stages

_TIME_LIMIT_S = 600.0  # for a process to warm up, and for a block
_WARM_SHARE = 0.5  # files that fit into this share of the available memory stay in the page cache
_HEADROOM = 1.5  # a second trainer needs this many times the memory of the first
_LEAST_ROUNDS = 3  # fewer blocks give no useful interval

OnProgress = Callable[[str], None]


def diagnose(
    plan: DiagnosisPlan,
    manifest: Manifest,
    folder: Path,
    on_progress: OnProgress,
    timing: DiagnosisTiming | None = None,
) -> DiagnosisRecord:
    """Measure all parts; a part that fails has its error in the record.

    Args:
        plan: the loader, spec and consumer to diagnose.
        manifest: the images.
        folder: an existing folder for the manifest and the logs.
        on_progress: called with a line of text for each process and each round.
        timing: durations of blocks and warm-ups.

    Raises:
        PlanError: cold files were asked for, but cannot be evicted or are not read.
        LoaderError: the files or packs that the loader reads do not match the rows or the spec.
        InterruptedRun: Ctrl-C; what was measured is in the folder.
        TrialError: loader, consumer or end to end could not be measured at all.
    """
    path = (folder / MANIFEST).absolute()
    manifest.write(path)
    loader = find_loader(plan.choice.loader)
    settings = parse_settings(loader, plan.choice.settings)
    stages = stages_of(loader, manifest, plan.spec, settings)
    record = _new_record(plan, manifest, stages)
    setup = Setup(plan, record, stages, path, timing or DiagnosisTiming())
    session = _Session(setup, folder, on_progress)
    try:
        session.measure()
    except KeyboardInterrupt:
        raise InterruptedRun(f"interrupted; what was measured is in {folder}") from None
    finally:
        session.close()
        write_model(folder / RECORD, session.record())
    record = session.record()
    for part in record.parts:
        if part.name in ("loader", "consumer", "end to end") and not part.blocks:
            raise TrialError(f"{part.name}: {part.error}")
    return record


def _new_record(plan: DiagnosisPlan, manifest: Manifest, stages: Stages) -> DiagnosisRecord:
    """Return the record of a plan on this machine, without any part."""
    size = encoded_bytes(stages, manifest)
    not_cold = why_not_cold(stages, manifest)
    if plan.cache_state == "cold" and not_cold:
        raise PlanError(not_cold)
    stays_warm = size < _WARM_SHARE * available_memory() or not_cold
    return DiagnosisRecord(
        **dict(conditions(manifest)),
        loader=plan.choice.loader,
        settings=plan.choice.settings,
        consumer=plan.consumer,
        accelerator=plan.accelerator.model_dump() if plan.accelerator else None,
        spec=plan.spec.model_dump(mode="json", exclude_none=True),
        recipe=plan.recipe.model_dump(mode="json"),
        cache_state=plan.cache_state or ("warm" if stays_warm else "cold"),
        not_cold=not_cold,
        images=len(manifest),
        encoded_bytes=size,
        decoded_bytes=len(manifest) * 3 * plan.spec.image_size**2,
        faster_storage=plan.faster_storage,
        other_image_size=plan.other_image_size,
        cores=usable_cores(),
        available_memory_bytes=available_memory(),
        on_gpu=bool(find_gpus()),
    )


class _Session:
    """The running processes of one diagnosis, and its measurements so far."""

    def __init__(self, setup: Setup, folder: Path, on_progress: OnProgress) -> None:
        self._new_record = setup.record
        self._folder = folder
        self._on_progress = on_progress
        self._timing = setup.timing
        self._gpus = find_gpus()
        self._children: dict[str, Child] = {}
        self._consumer_first = False
        self._autotuned: list[Node] | None = None
        self._jobs = setup.jobs()
        self._measurements = setup.measurements()

    def record(self) -> DiagnosisRecord:
        """Return the record with everything that is measured so far."""
        return self._new_record.model_copy(
            update={
                "parts": [measurement.part for measurement in self._measurements],
                "apart": self._consumer_first,
                "autotuned": self._autotuned,
            }
        )

    def measure(self) -> None:
        """Start all processes, then time rounds until there are enough or the time is up."""
        begin = monotonic()
        for key in self._jobs:
            if not self._has_room(key):
                self._finish_consumer()
            self._start(key)
        slowest_s = 0.0
        for round_index in range(self._timing.rounds):
            round_begin = monotonic()
            spent_s = round_begin - begin
            if round_index >= _LEAST_ROUNDS and spent_s + slowest_s > self._timing.budget_s:
                break
            self._time_round(round_index)
            slowest_s = max(slowest_s, monotonic() - round_begin)
            self._on_progress(f"round {round_index + 1}: {slowest_s:.0f} s")

    def close(self) -> None:
        """End every process."""
        close_all(self._children)

    def _time_round(self, round_index: int) -> None:
        """Time one block of each part, in an order that is seeded by the round."""
        order = np.random.default_rng([0, round_index]).permutation(len(self._measurements))
        for index in order.tolist():
            self._time_block(self._measurements[index], round_index)

    def _has_room(self, key: str) -> bool:
        """Whether a second trainer fits beside the first; all other processes are small."""
        first = self._children.get("consumer")
        if key != "end to end" or first is None:
            return True
        return available_memory() > _HEADROOM * tree_memory(first.pid)

    def _finish_consumer(self) -> None:
        """Measure the consumer alone now and end its process, to free its memory."""
        self._on_progress("consumer: measured first, since two trainers do not fit into memory")
        self._consumer_first = True
        for round_index in range(_LEAST_ROUNDS):
            for measurement in self._measurements_of("consumer"):
                self._time_block(measurement, round_index)
        if "consumer" in self._children:
            self._children.pop("consumer").close()

    def _start(self, key: str) -> None:
        self._on_progress(f"starting: {key}")
        logs = self._folder / "logs"
        logs.mkdir(exist_ok=True)
        job, log = self._jobs[key], logs / f"{key.replace(' ', '-')}.log"
        child = Child(STAGE_WORKER if isinstance(job, StageJob) else TRIAL_WORKER, job, log)
        self._children[key] = child
        try:
            start_s = self._wait_until_ready(child, job)
        except TrialError as error:
            self._give_up(key, str(error))
            return
        for measurement in self._measurements_of(key):
            measurement.update(start_s=start_s)

    def _wait_until_ready(self, child: Child, job: TrialJob | StageJob) -> float:
        """Wait until a process accepts requests, pause it, and return its start time in seconds."""
        if isinstance(job, StageJob):
            ready = child.wait_for(StagesReady, _TIME_LIMIT_S, "warm-up")
            start_s, self._autotuned = ready.start_s, ready.autotuned
        else:
            start_s = child.wait_for(WarmUpDone, _TIME_LIMIT_S, "warm-up").warm_up.start_s
        child.pause()
        return start_s

    def _time_block(self, measurement: Measurement, round_index: int) -> None:
        child = self._children.get(measurement.process)
        if child is None:
            return
        try:
            with Meters(self._gpus) as meters:
                done = child.ask(measurement.request, BlockDone, _TIME_LIMIT_S, "a block")
        except TrialError as error:
            self._give_up(measurement.process, str(error))
            return
        block = meters.complete(done.block, round_index)
        measurement.update(blocks=[*measurement.part.blocks, block])

    def _give_up(self, key: str, error: str) -> None:
        """End a process that failed, and record why in the parts that it measures."""
        self._on_progress(f"{key}: {error}")
        self._children.pop(key).close()
        for measurement in self._measurements_of(key):
            measurement.update(error=error)

    def _measurements_of(self, key: str) -> list[Measurement]:
        return [measurement for measurement in self._measurements if measurement.process == key]
