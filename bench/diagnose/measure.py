"""Measures each part with everything else taken away, in interleaved short blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from feedbench.bench.consumers.transfer import DEVICE
from feedbench.bench.diagnose.autotune import Node
from feedbench.bench.diagnose.fixed import fixed_choices
from feedbench.bench.diagnose.record import FASTER_STORAGE, Diagnosed, Part, PartName
from feedbench.bench.diagnose.stages import (
    DEPTHS,
    counts_of,
    encoded_bytes,
    measured_stages,
    stages_of,
    why_not_cold,
)
from feedbench.bench.errors import PlanError, TrialError
from feedbench.bench.meters.block import Meters
from feedbench.bench.meters.gpu import find_gpus
from feedbench.bench.meters.process import available_memory, tree_memory
from feedbench.bench.plan.accelerators import Accelerator
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import Block, CacheState
from feedbench.bench.trials.child import Remote, close_all
from feedbench.bench.trials.run import MANIFEST
from feedbench.loaders import BASELINE, BatchSpec, Manifest, find_loader, parse_settings
from feedbench.loaders.cores import usable_cores
from feedbench.loaders.stages.stage import Stages
from feedbench.trainer import Recipe

_TRIAL_LIMIT_S = 600.0
_WARM_SHARE = 0.5  # of the memory that is left, which the files may take and still be kept
_HEADROOM = 1.5  # times the first trainer's memory, free before a second is started
_LEAST_ROUNDS = 3  # below it an interval says nothing

Say = Callable[[str], None]


@dataclass(frozen=True)
class Pace:
    """How long a diagnosis takes, seconds.

    Attributes:
        stage_s: of each block of a stage.
        block_s: of each block of the loader, and of the consumer.
        whole_s: of each block end to end.
        warm_up_s: before the first block of each process.
        rounds: blocks of each part, at most.
        budget_s: no further round is begun that would end after it.
    """

    stage_s: float = 0.3
    block_s: float = 1.2
    whole_s: float = 3.0
    warm_up_s: float = 1.0
    rounds: int = 7
    budget_s: float = 150.0


@dataclass(frozen=True)
class Question:
    """What is to be diagnosed.

    Attributes:
        faster_storage: times as fast a storage as is to be predicted.
        other_image_size: pixels, likewise; None for half of it.
    """

    choice: Choice
    spec: BatchSpec
    recipe: Recipe
    consumer: str
    accelerator: Accelerator | None
    cache_state: CacheState | None = None
    faster_storage: float = FASTER_STORAGE
    other_image_size: int | None = None


@dataclass
class _Probe:
    """One part: which process answers for it, and what that is told of each block."""

    part: Part
    key: str
    block: dict[str, Any]


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
    manifest.write(folder / MANIFEST)
    loader = find_loader(question.choice.loader)
    settings = parse_settings(loader, question.choice.settings)
    stages = stages_of(loader, manifest, question.spec, settings)
    record = _begun(question, manifest, stages)
    session = _Session(question, record, stages, folder, say, pace)
    try:
        session.measure()
    finally:
        session.close()
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

    def __init__(
        self,
        question: Question,
        record: Diagnosed,
        stages: Stages,
        folder: Path,
        say: Say,
        pace: Pace,
    ) -> None:
        self._question = question
        self._record = record
        self._stages = stages
        self._folder = folder
        self._say = say
        self._pace = pace
        self._gpus = find_gpus()
        self._live: dict[str, Remote] = {}
        self._fixed = fixed_choices(question.choice, record.cores)
        self._orders = self._all_orders()
        self._probes = self._all_probes()
        record.parts = [probe.part for probe in self._probes]

    def measure(self) -> None:
        """Start everything, then time rounds until there are enough or the time is spent."""
        begin = monotonic()
        for key in self._orders:
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
        self._record.apart = True
        for turn in range(_LEAST_ROUNDS):
            for probe in self._probes:
                if probe.key == "consumer":
                    self._block(probe, turn)
        if "consumer" in self._live:
            self._live.pop("consumer").close()

    def close(self) -> None:
        """End every process."""
        close_all(self._live)

    def _all_orders(self) -> dict[str, dict[str, Any]]:
        """What each process is told first, by its key; the states of files that can be had."""
        question, record = self._question, self._record
        common = {
            "manifest": str((self._folder / MANIFEST).absolute()),
            "loader": question.choice.loader,
            "settings": question.choice.settings,
            "spec": record.spec,
            "recipe": record.recipe,
            "failures": {},
            "accelerator": record.accelerator,
            "warm_up_s": self._pace.warm_up_s,
            "least_warm_steps": 1,
            "others_evict": True,
        }
        state = record.cache_state
        synthetic = {"loader": BASELINE, "settings": self._same_dtype(), "cache_state": None}
        fed = {"consumer": question.consumer}
        drained = {**common, "consumer": "drain", "accelerator": None}
        orders = {"stages": {**common, "cores": record.cores, "warm_up_s": 0.1}}
        for one in self._states():
            orders[f"loader {one}"] = {**drained, "cache_state": one}
        for number, choice in enumerate(self._fixed):
            fixed: dict[str, Any] = {"settings": choice.settings, "cache_state": "warm"}
            orders[f"fixed {number}"] = {**drained, **fixed}
        if record.on_gpu and record.consumer == "train":
            orders["transfer"] = {**drained, **synthetic, "consumer": "transfer", "device": DEVICE}
        orders["consumer"] = {**common, **fed, **synthetic}
        orders["end to end"] = {**common, **fed, "cache_state": state}
        return orders

    def _same_dtype(self) -> dict[str, Any]:
        choice = self._question.choice
        settings = parse_settings(find_loader(choice.loader), choice.settings)
        return {"output": settings.image_dtype}

    def _states(self) -> list[CacheState]:
        return ["warm"] if self._record.not_cold else ["warm", "cold"]

    def _all_probes(self) -> list[_Probe]:
        return [*self._stage_probes(), *self._whole_probes()]

    def _stage_probes(self) -> list[_Probe]:
        record, stages = self._record, self._stages
        encoded = record.encoded_bytes / record.images
        probes = [
            self._stage("storage", depth, encoded, state)
            for state in (self._states() if stages.reading else [])
            for depth in DEPTHS
        ]
        for name, _ in measured_stages(stages):
            moved = self._made_bytes if name == "assemble" else None
            for cores in counts_of(stages, name, record.cores):
                probes.append(self._stage(name, cores, moved))
        return probes

    @property
    def _made_bytes(self) -> int:
        """Of an image in a batch."""
        item = 4 if self._same_dtype()["output"] == "float32" else 1
        return 3 * self._question.spec.image_size**2 * item

    def _stage(
        self,
        name: PartName,
        parallel: int,
        moved: float | None = None,
        state: CacheState | None = None,
    ) -> _Probe:
        part = Part(name=name, parallel=parallel, moved_bytes=moved, cache_state=state)
        told = {"stage": name, "parallel": parallel, "cache_state": state}
        return _Probe(part, "stages", {"seconds": self._pace.stage_s, **told})

    def _whole_probes(self) -> list[_Probe]:
        block = {"seconds": self._pace.block_s, "least_steps": 1}
        parts = [Part(name="loader", cache_state=one) for one in self._states()]
        probes = [_Probe(part, f"loader {part.cache_state}", block) for part in parts]
        for number, choice in enumerate(self._fixed):
            part = Part(name="fixed", cache_state="warm", settings=choice.settings)
            probes.append(_Probe(part, f"fixed {number}", block))
        if "transfer" in self._orders:
            part = Part(name="transfer", moved_bytes=self._made_bytes)
            probes.append(_Probe(part, "transfer", block))
        whole = Part(name="end to end", cache_state=self._record.cache_state)
        probes.append(_Probe(Part(name="consumer"), "consumer", block))
        # A loader in line has no batch ready when a block begins: longer blocks, less of that.
        return [*probes, _Probe(whole, "end to end", {**block, "seconds": self._pace.whole_s})]

    def _start(self, key: str) -> None:
        self._say(f"starting: {key}")
        logs = self._folder / "logs"
        logs.mkdir(exist_ok=True)
        module = (
            "feedbench.bench.diagnose.worker"
            if key == "stages"
            else "feedbench.bench.trials.worker"
        )
        remote = Remote(self._orders[key], logs / f"{key.replace(' ', '-')}.log", module)
        self._live[key] = remote
        try:
            answer = remote.await_warm(_TRIAL_LIMIT_S, lambda sign: None)
        except TrialError as error:
            self._give_up(key, str(error))
            return
        if answer.get("autotuned"):
            self._record.autotuned = [Node.model_validate(one) for one in answer["autotuned"]]
        for probe in self._probes:
            if probe.key == key:
                probe.part.start_s = answer["start_s"]

    def _block(self, probe: _Probe, turn: int) -> None:
        remote = self._live.get(probe.key)
        if remote is None:
            return
        try:
            with Meters(self._gpus) as meters:
                answer = remote.time_block(limit_s=_TRIAL_LIMIT_S, **probe.block)
        except TrialError as error:
            self._give_up(probe.key, str(error))
            return
        block = Block.model_validate(answer["block"])
        block.round = turn
        meters.enter(block)
        probe.part.blocks.append(block)

    def _give_up(self, key: str, error: str) -> None:
        self._say(f"{key}: {error}")
        self._live.pop(key).close()
        for probe in self._probes:
            if probe.key == key:
                probe.part.error = error
