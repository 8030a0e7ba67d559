"""Measures each part with everything else taken away, in short interleaved blocks."""

from __future__ import annotations

from itertools import zip_longest
from pathlib import Path
from time import monotonic
from typing import Any

from feedbench.bench.consumers.device import CPU
from feedbench.bench.diagnose.events import DiagnosisEvent, EventKind, OnEvent
from feedbench.bench.diagnose.messages import STAGE_WORKER, StageJob, StagesReady
from feedbench.bench.diagnose.new_record import new_record
from feedbench.bench.diagnose.own import Observed
from feedbench.bench.diagnose.processes import process_text
from feedbench.bench.diagnose.record import RECORD, DiagnosisRecord, Part
from feedbench.bench.diagnose.room import Room
from feedbench.bench.diagnose.sample import drawn
from feedbench.bench.diagnose.setup import (
    STAGES,
    DiagnosisPlan,
    DiagnosisTiming,
    Measurement,
    Setup,
)
from feedbench.bench.diagnose.stages import runs_at, stages_of
from feedbench.bench.diagnose.variant import VARIANT_WORKER, VariantJob
from feedbench.bench.errors import InterruptedRun, TrialError
from feedbench.bench.files import write_model
from feedbench.bench.meters.block import Meters
from feedbench.bench.meters.gpu import hidden_from, training_gpus
from feedbench.bench.record import Block
from feedbench.bench.signals import interrupts_deferred
from feedbench.bench.trials.bench import MANIFEST
from feedbench.bench.trials.child import Child, close_all
from feedbench.bench.trials.order import balanced_order
from feedbench.bench.trials.protocol import (
    TRIAL_WORKER,
    BlockDone,
    BlockRequest,
    TrialJob,
    WarmUpDone,
)
from feedbench.bench.trials.sample import WARM_SHARE
from feedbench.bench.trials.timer import Timer
from feedbench.loaders import Manifest, available_memory, find_loader, parse_settings

_TIME_LIMIT_S = 600.0  # for a process to warm up, and for a block
LEAST_ROUNDS = 3  # fewer blocks give no useful interval


def diagnose(
    plan: DiagnosisPlan,
    manifest: Manifest,
    folder: Path,
    on_event: OnEvent,
    timing: DiagnosisTiming | None = None,
) -> DiagnosisRecord:
    """Measure all parts; a part that fails has its error in the record.

    Args:
        plan: the loader, spec and consumer to diagnose.
        manifest: the images; of many, a sample is measured.
        folder: an existing folder for the manifest and the logs.
        on_event: called with the progress.
        timing: durations of blocks and warm-ups.

    Raises:
        RecordError: the folder cannot be written.
        PlanError: files cannot be brought into the state that was asked for, or are not read.
        LoaderError: the files or packs that the loader reads do not match the rows or the spec.
        InterruptedRun: Ctrl-C; what was measured is in the folder.
        TrialError: loader, consumer or end to end could not be measured at all.
    """
    loader = find_loader(plan.choice.loader)
    settings = parse_settings(loader, plan.choice.settings)
    stages = stages_of(loader, manifest, plan.spec, settings)
    images, memory = len(manifest), available_memory()
    if loader.own is None or loader.own.takes("manifest"):  # others read what they find
        manifest = drawn(manifest, stages, plan.images, WARM_SHARE * memory)
    if len(manifest) < images:
        stages = stages_of(loader, manifest, plan.spec, settings)
    path = (folder / MANIFEST).absolute()
    manifest.write(path)
    timing = timing or DiagnosisTiming()
    record = new_record(plan, manifest, images, stages)
    record = record.model_copy(update={"budget_s": timing.budget_s})
    others = loader.own is not None or stages.service is not None
    other = not others and runs_at(record.other_size, loader, manifest, plan.spec, settings)
    setup = Setup(plan, record, stages, other, path, timing)
    session = _Session(setup, manifest, folder, on_event)
    try:
        session.measure()
    except KeyboardInterrupt:
        session.interrupted = True
        raise InterruptedRun(f"interrupted; what was measured is in {folder}") from None
    finally:
        try:
            # First the record: closing may take seconds, in which a second Ctrl-C may come.
            with interrupts_deferred():
                record = session.record()
                write_model(folder / RECORD, record)
        finally:
            session.close()
    for part in record.parts:
        _check_measured(part, session.details)
    return record


def _check_measured(part: Part, details: str) -> None:
    """Check that a part without which there is no diagnosis has been timed.

    Raises:
        TrialError: it has not.
    """
    if part.name in ("loader", "consumer", "end to end") and not part.blocks:
        raise TrialError(f"{part.name}: {part.error}", details)


class _Session:
    """The running processes of one diagnosis, and its measurements so far.

    Attributes:
        details: traceback of the user's own code, if that failed.
        interrupted: whether Ctrl-C ended it early.
    """

    def __init__(self, setup: Setup, manifest: Manifest, folder: Path, on_event: OnEvent) -> None:
        self.details, self.interrupted = "", False
        self._new_record = setup.record
        self._folder = folder
        self._on_event = on_event
        self._started: set[str] = set()
        self._more_may_come = find_loader(setup.plan.choice.loader).own is not None
        self._round: int | None = None  # None while processes start
        self._timing = setup.timing
        self._gpus = training_gpus()
        self._timer = Timer(manifest, self._gpus, rewarm=True)
        self._room = Room(self._gpus)
        self._children: dict[str, Child] = {}
        self._consumer_first = False
        self._of_stages: dict[str, Any] = {}  # fields of the record that their process knows
        self._setup = setup
        self._jobs = setup.jobs()
        self._measurements = setup.measurements()

    def record(self, *, interrupted: bool = False) -> DiagnosisRecord:
        """Return the record with everything that is measured so far."""
        return self._new_record.model_copy(
            update={
                "parts": [measurement.part for measurement in self._measurements],
                "apart": self._consumer_first,
                "interrupted": self.interrupted or interrupted,
                **self._of_stages,
            }
        )

    def measure(self) -> None:
        """Start all processes, then time rounds until there are enough or the time is up."""
        begin = monotonic()
        self._start_all()
        slowest_s = 0.0
        for round_index in range(self._timing.rounds):
            round_begin = monotonic()
            spent_s = round_begin - begin
            if round_index >= LEAST_ROUNDS and spent_s + slowest_s > self._timing.budget_s:
                break
            self._time_round(round_index)
            slowest_s = max(slowest_s, monotonic() - round_begin)
            # Marked as interrupted, as it is if the process is killed now.
            write_model(self._folder / RECORD, self.record(interrupted=True))
            self._tell("round")

    def _start_all(self) -> None:
        """Start all processes, also those of which is learned meanwhile."""
        while waiting := self._unstarted():
            self._started.add(waiting[0])
            self._make_room(waiting[0])
            self._start(waiting[0])

    def _unstarted(self) -> list[str]:
        return [key for key in self._jobs if key not in self._started]

    def close(self) -> None:
        """End every process."""
        close_all(self._children)

    def _time_round(self, round_index: int) -> None:
        """Time one block of each part."""
        self._round = round_index
        order = balanced_order(len(self._measurements), round_index, seed=0)
        ordered = [self._measurements[index] for index in order]
        for measurement, following in zip_longest(ordered, ordered[1:]):
            self._time_block(measurement, round_index, following.part if following else None)

    def _make_room(self, key: str) -> None:
        """Measure now, and end, the processes beside which another cannot start."""
        for other in [*self._children]:
            why = self._room.why_not_beside(key, other, self._children[other].pid)
            if why:
                self._tell("note", f"{other}: measured first, since {why}")
                self._finish(other)

    def _finish(self, key: str) -> None:
        """Measure the parts of a process now and end it."""
        self._consumer_first = self._consumer_first or key == "consumer"
        for round_index in range(LEAST_ROUNDS):
            for measurement in self._measurements_of(key):
                self._time_block(measurement, round_index)
        if key in self._children:
            self._children.pop(key).close()

    def _start(self, key: str) -> None:
        self._tell("starting", self._name_of(key))
        logs = self._folder / "logs"
        logs.mkdir(exist_ok=True)
        self._room.before_start()
        job, log = self._jobs[key], logs / f"{key.replace(' ', '-')}.log"
        if isinstance(job, StageJob):
            own = find_loader(job.loader).own
            environment = hidden_from(job.loader) if self._gpus else None
            child = Child(STAGE_WORKER, job, log, environment, own=own)
        else:
            service = VARIANT_WORKER if isinstance(job, VariantJob) else TRIAL_WORKER
            child = self._timer.start(job, log, service)
        self._children[key] = child
        try:
            start_s = self._wait_until_ready(child, job)
        except TrialError as error:
            self._more_may_come = False  # the stages, which say whether, are the first
            self._give_up(key, error)
            return
        for measurement in self._measurements_of(key):
            measurement.update(start_s=start_s)
        self._tell("started", self._name_of(key))

    def _wait_until_ready(self, child: Child, job: TrialJob | StageJob) -> float:
        """Wait until a process accepts requests, pause it, and return its start time in seconds."""
        if isinstance(job, StageJob):
            ready = child.wait_for(StagesReady, _TIME_LIMIT_S, "warm-up")
            start_s = ready.start_s
            self._of_stages = ready.facts()
            self._add_variants(ready.observed)
        else:
            done = child.wait_for(WarmUpDone, _TIME_LIMIT_S, "warm-up")
            self._timer.note_device(child, done)
            self._room.after_warm_up()
            start_s = done.warm_up.start_s
            if done.device is not None:
                on_gpu = done.device != CPU
                model = done.model and done.model.model_dump()
                self._new_record = self._new_record.model_copy(
                    update={"on_gpu": on_gpu, "devices": done.devices, "model": model}
                )
        child.pause()
        return start_s

    def _add_variants(self, observed: Observed | None) -> None:
        """Plan to measure variants of a user's tf.data pipeline, now that its stages are known."""
        self._more_may_come = False
        if observed is None or observed.graph is None:
            return
        self._jobs.update(self._setup.with_full_caches(self._jobs, observed.graph))
        for variant, measurement in self._setup.tries(observed.graph):
            self._jobs[variant.key] = variant.job
            self._measurements.append(measurement)

    def _time_block(
        self, measurement: Measurement, round_index: int, following: Part | None = None
    ) -> None:
        """Time one block of a part whose process runs.

        Args:
            following: the part that is timed next.
        """
        child = self._children.get(measurement.process)
        if child is None:
            return
        self._tell("timing", part=measurement.part, next_part=following)
        try:
            block = self._timed(child, measurement, round_index)
        except TrialError as error:
            self._give_up(measurement.process, error)
            return
        measurement.update(blocks=[*measurement.part.blocks, block])
        self._tell("timed", part=measurement.part, next_part=following)

    def _timed(self, child: Child, measurement: Measurement, round_index: int) -> Block:
        job, request = self._jobs[measurement.process], measurement.request
        if isinstance(job, TrialJob) and isinstance(request, BlockRequest):
            return self._timer.time(child, job, request, _TIME_LIMIT_S, round_index).block
        with Meters(self._gpus) as meters:
            done = child.ask(request, BlockDone, _TIME_LIMIT_S, "a block", request.seconds)
        return meters.complete(done.block, round_index)

    def _give_up(self, key: str, error: TrialError) -> None:
        """End a process that failed, and record why in the parts that it measures."""
        self.details = self.details or error.details
        self._children.pop(key).close()
        for measurement in self._measurements_of(key):
            measurement.update(error=str(error))
        # Why is said by the result, or by the last line of the command.
        self._tell("failed", f"failed: {self._name_of(key)}")
        for measurement in self._measurements_of(key):
            _check_measured(measurement.part, self.details)

    def _name_of(self, key: str) -> str:
        parts = [] if key == STAGES else [one.part for one in self._measurements_of(key)]
        return process_text(next(iter(parts), None), self._new_record.consumer)

    def _measurements_of(self, key: str) -> list[Measurement]:
        return [measurement for measurement in self._measurements if measurement.process == key]

    def _tell(self, kind: EventKind, text: str = "", **values: Any) -> None:
        event = DiagnosisEvent(
            kind,
            self.record(),
            text,
            processes_left=len(self._unstarted()),
            more_may_come=self._more_may_come,
            round=self._round,
            **values,
        )
        self._on_event(event)
