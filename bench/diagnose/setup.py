"""What a diagnosis measures: the processes' jobs, and the parts for which they are asked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feedbench.bench.diagnose.fixed import fixed_choices
from feedbench.bench.diagnose.messages import StageJob, StageRequest
from feedbench.bench.diagnose.record import FASTER_STORAGE, Diagnosed, Part, PartName
from feedbench.bench.diagnose.stages import DEPTHS, counts_of, measured_stages
from feedbench.bench.plan.accelerators import Accelerator
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import CacheState
from feedbench.bench.trials.messages import BlockRequest, TrialJob
from feedbench.loaders import BASELINE, BatchSpec, find_loader, parse_settings
from feedbench.loaders.stages.stage import Stages
from feedbench.trainer import Recipe


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
class Probe:
    """One part: which process answers for it, and what it is asked for each block.

    Attributes:
        part: what is measured so far; replaced with each block.
    """

    part: Part
    key: str
    request: BlockRequest | StageRequest

    def update(self, **values: Any) -> None:
        """Replace the part by one with other values."""
        self.part = self.part.model_copy(update=values)


@dataclass(frozen=True)
class Setup:
    """A question on one machine.

    Attributes:
        begun: the record without any part.
        stages: what the loader's work consists of.
        manifest: the file of the rows.
    """

    question: Question
    begun: Diagnosed
    stages: Stages
    manifest: Path
    pace: Pace

    def jobs(self) -> dict[str, TrialJob | StageJob]:
        """The job of each process, by its key; only cache states that are possible here."""
        choice = self.question.choice
        stages = StageJob(
            manifest=self.manifest,
            loader=choice.loader,
            settings=choice.settings,
            spec=self.question.spec,
            cores=self.begun.cores,
            warm_up_s=0.1,
        )
        whole = self._whole()
        drained = whole.model_copy(update={"consumer": "drain", "accelerator": None})
        synthetic = {"loader": BASELINE, "settings": self._same_dtype(), "cache_state": None}
        jobs: dict[str, TrialJob | StageJob] = {"stages": stages}
        for state in self._states():
            jobs[f"loader {state}"] = drained.model_copy(update={"cache_state": state})
        for number, fixed in enumerate(self._fixed()):
            values = {"settings": fixed.settings, "cache_state": "warm"}
            jobs[f"fixed {number}"] = drained.model_copy(update=values)
        if self._copies:
            jobs["transfer"] = drained.model_copy(update={**synthetic, "consumer": "transfer"})
        return {**jobs, "consumer": whole.model_copy(update=synthetic), "end to end": whole}

    def probes(self) -> list[Probe]:
        """All parts, in the order in which an image passes through them."""
        return [*self._stage_probes(), *self._whole_probes()]

    def _whole(self) -> TrialJob:
        question, choice = self.question, self.question.choice
        return TrialJob(
            manifest=self.manifest,
            loader=choice.loader,
            settings=choice.settings,
            spec=question.spec,
            recipe=question.recipe,
            consumer=question.consumer,
            accelerator=question.accelerator,
            cache_state=self.begun.cache_state,
            warm_up_s=self.pace.warm_up_s,
            min_warm_up_steps=1,
            others_evict=True,
        )

    @property
    def _copies(self) -> bool:
        """Whether batches are copied to a GPU."""
        return self.begun.on_gpu and self.question.consumer == "train"

    def _fixed(self) -> list[Choice]:
        return fixed_choices(self.question.choice, self.begun.cores)

    def _same_dtype(self) -> dict[str, Any]:
        choice = self.question.choice
        settings = parse_settings(find_loader(choice.loader), choice.settings)
        return {"output": settings.image_dtype}

    def _states(self) -> list[CacheState]:
        return ["warm"] if self.begun.not_cold else ["warm", "cold"]

    def _stage_probes(self) -> list[Probe]:
        encoded = self.begun.encoded_bytes / self.begun.images
        probes = [
            self._stage("storage", depth, encoded, state)
            for state in (self._states() if self.stages.reading else [])
            for depth in DEPTHS
        ]
        for name, _ in measured_stages(self.stages):
            moved = self._made_bytes if name == "assemble" else None
            for cores in counts_of(self.stages, name, self.begun.cores):
                probes.append(self._stage(name, cores, moved))
        return probes

    @property
    def _made_bytes(self) -> int:
        """Of an image in a batch."""
        item = 4 if self._same_dtype()["output"] == "float32" else 1
        return 3 * self.question.spec.image_size**2 * item

    def _stage(
        self,
        name: PartName,
        parallel: int,
        moved: float | None = None,
        state: CacheState | None = None,
    ) -> Probe:
        part = Part(name=name, parallel=parallel, moved_bytes=moved, cache_state=state)
        request = StageRequest(
            stage=name, parallel=parallel, cache_state=state, seconds=self.pace.stage_s
        )
        return Probe(part, "stages", request)

    def _whole_probes(self) -> list[Probe]:
        block = BlockRequest(seconds=self.pace.block_s, min_steps=1)
        parts = [Part(name="loader", cache_state=one) for one in self._states()]
        probes = [Probe(part, f"loader {part.cache_state}", block) for part in parts]
        for number, choice in enumerate(self._fixed()):
            part = Part(name="fixed", cache_state="warm", settings=choice.settings)
            probes.append(Probe(part, f"fixed {number}", block))
        if self._copies:
            part = Part(name="transfer", moved_bytes=self._made_bytes)
            probes.append(Probe(part, "transfer", block))
        whole = Part(name="end to end", cache_state=self.begun.cache_state)
        probes.append(Probe(Part(name="consumer"), "consumer", block))
        # A loader in line has no batch ready when a block begins: longer blocks, less of that.
        longer = block.model_copy(update={"seconds": self.pace.whole_s})
        return [*probes, Probe(whole, "end to end", longer)]
