"""What a diagnosis measures: the jobs of its processes, and the parts they are asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from feedbench.bench.accelerator import Accelerator
from feedbench.bench.diagnose.fixed import fixed_choices
from feedbench.bench.diagnose.messages import StageJob, StageRequest
from feedbench.bench.diagnose.record import FASTER_STORAGE, DiagnosisRecord, Part, PartName
from feedbench.bench.diagnose.stages import OF_SERVICE, compute_stages, core_counts
from feedbench.bench.diagnose.tf_graph.graph import Graph
from feedbench.bench.diagnose.tries import CACHE_SHARE, Try, tries
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import CacheState
from feedbench.bench.trials.protocol import BlockRequest, TrialJob
from feedbench.bench.trials.sample import IMAGES
from feedbench.loaders import BASELINE, BatchSpec, find_loader, parse_settings
from feedbench.loaders.stages import Stages
from feedbench.trainer import ONE, Recipe

STAGES = "stages"  # key of the process that measures all stages
_STAGE_WARM_UP_S = 0.1
_DEPTHS = (1, 4, 16, 64)  # concurrent reads
_DEPTH_PER_CORE = 4


@dataclass(frozen=True)
class DiagnosisTiming:
    """How long a diagnosis takes, in seconds.

    Attributes:
        stage_s: minimum duration of a block of a single stage.
        block_s: minimum duration of a block of the loader or the consumer alone.
        end_to_end_s: minimum duration of a block end to end.
        warm_up_s: minimum warm-up of each process.
        opened_s: duration of the run in which the files that a user's function opens are noted.
        model_s: minimum duration of each run whose model of a pipeline is read from tf.data; in
            3 s AUTOTUNE looks again about eight times, after 10 ms, 20 ms, 40 ms ….
        rounds: largest number of blocks per part.
        budget_s: time budget; after the least number of rounds, none starts that cannot finish
            within it.
    """

    stage_s: float = 0.3
    block_s: float = 1.2
    end_to_end_s: float = 3.0
    warm_up_s: float = 1.0
    opened_s: float = 2.0
    model_s: float = 3.0
    rounds: int = 7
    budget_s: float = 150.0


@dataclass(frozen=True)
class DiagnosisPlan:
    """The loader, spec and consumer to diagnose.

    Attributes:
        cache_state: of the files; None: warm if they fit into memory, else cold.
        devices: that train together: a number, or cpu:N.
        images: largest number of images to measure; of more, a random sample is drawn.
        rewrite: measure a user's tf.data pipeline without each of its mistakes too.
        faster_storage: predict the rate with storage this many times as fast.
        other_image_size: predict the rate at this image size, in pixels; None: half of it.
    """

    choice: Choice
    spec: BatchSpec
    recipe: Recipe
    consumer: str
    accelerator: Accelerator | None
    cache_state: CacheState | None = None
    devices: str = ONE
    images: int = IMAGES
    rewrite: bool = False
    faster_storage: float = FASTER_STORAGE
    other_image_size: int | None = None


@dataclass
class Measurement:
    """One part, the process that measures it, and the request for one block.

    Attributes:
        part: the blocks so far; replaced after each block.
        process: key of the process in `Setup.jobs`.
        request: what the process is sent for each block.
    """

    part: Part
    process: str
    request: BlockRequest | StageRequest

    def update(self, **values: Any) -> None:
        """Replace some fields of the part."""
        self.part = self.part.model_copy(update=values)


@dataclass(frozen=True)
class Setup:
    """The processes and parts by which a plan is measured on this machine.

    Attributes:
        record: the record without any part.
        stages: of the loader.
        at_other_size: whether the loader is also measured at another image size.
        manifest: path of the file that lists the images.
    """

    plan: DiagnosisPlan
    record: DiagnosisRecord
    stages: Stages
    at_other_size: bool
    manifest: Path
    timing: DiagnosisTiming

    def jobs(self) -> dict[str, TrialJob | StageJob]:
        """Return the job of each process by its key, in the order in which they start."""
        end_to_end = self._end_to_end_job()
        loader_alone = end_to_end.model_copy(update={"consumer": "drain", "accelerator": None})
        synthetic: dict[str, Any] = {
            "loader": BASELINE,
            "settings": self._baseline_settings(),
            "cache_state": None,
        }
        jobs: dict[str, TrialJob | StageJob] = {STAGES: self._stage_job()}
        for state in self._cache_states():
            jobs[f"loader {state}"] = loader_alone.model_copy(update={"cache_state": state})
        if self.at_other_size:
            spec = self.plan.spec.model_copy(update={"image_size": self.record.other_size})
            values: dict[str, Any] = {"spec": spec, "cache_state": "warm"}
            jobs["loader, other size"] = loader_alone.model_copy(update=values)
        for number, fixed in enumerate(self._fixed_choices()):
            values = {"settings": fixed.settings, "cache_state": "warm"}
            jobs[f"fixed {number}"] = loader_alone.model_copy(update=values)
        if self._copies_to_device:
            values = {**synthetic, "consumer": "transfer"}
            jobs["transfer"] = loader_alone.model_copy(update=values)
        consumer = end_to_end.model_copy(update=synthetic)
        return {**jobs, "consumer": consumer, "end to end": end_to_end}

    def measurements(self) -> list[Measurement]:
        """Return the measurement of each part, in the order in which an image passes the parts."""
        return [
            *self._storage_measurements(),
            *self._compute_measurements(),
            *self._trial_measurements(),
        ]

    def tries(self, graph: Graph) -> list[tuple[Try, Measurement]]:
        """Return the variants of a user's pipeline that are measured beside it."""
        memory = round(CACHE_SHARE * self.record.available_memory_bytes)
        job, rewrite = self._end_to_end_job(), self.plan.rewrite
        job = self.with_full_caches({"": job}, graph).get("", job)
        return [
            (one, Measurement(one.part, one.key, self._request_of(one.part)))
            for one in tries(job, graph, memory, self._epoch_steps, rewrite=rewrite)
        ]

    def with_full_caches(
        self, jobs: Mapping[str, TrialJob | StageJob], graph: Graph
    ) -> dict[str, TrialJob]:
        """Return those jobs that must warm up until the caches of a user's pipeline are full."""
        if all(stage.method != "cache" for stage in graph.stages):
            return {}
        steps = {"min_warm_up_steps": self._epoch_steps}
        return {
            key: job.model_copy(update=steps)
            for key, job in jobs.items()
            if isinstance(job, TrialJob) and job.loader == self.plan.choice.loader
        }

    @property
    def _epoch_steps(self) -> int:
        """Batches after which a cache is full."""
        return (self.record.sampled or self.record.images) // self.plan.spec.batch_size + 2

    def _request_of(self, part: Part) -> BlockRequest:
        timing = self.timing
        seconds = timing.end_to_end_s if part.name == "rewritten" else timing.block_s
        return BlockRequest(seconds=seconds, min_steps=1)

    def _stage_job(self) -> StageJob:
        return StageJob(
            manifest=self.manifest,
            loader=self.plan.choice.loader,
            settings=self.plan.choice.settings,
            spec=self.plan.spec,
            cores=self.record.cores,
            warm_up_s=_STAGE_WARM_UP_S,
            opened_s=self.timing.opened_s,
            model_s=self.timing.model_s,
        )

    def _end_to_end_job(self) -> TrialJob:
        return TrialJob(
            manifest=self.manifest,
            loader=self.plan.choice.loader,
            settings=self.plan.choice.settings,
            spec=self.plan.spec,
            recipe=self.plan.recipe,
            consumer=self.plan.consumer,
            accelerator=self.plan.accelerator,
            devices=self.plan.devices,
            cache_state=self.record.cache_state,
            warm_up_s=self.timing.warm_up_s,
            min_warm_up_steps=1,
        )

    @property
    def _copies_to_device(self) -> bool:
        """Whether batches are copied to a GPU."""
        return self.record.on_gpu and self.plan.consumer == "train"

    def _fixed_choices(self) -> list[Choice]:
        return fixed_choices(self.plan.choice, self.record.cores)

    def _baseline_settings(self) -> dict[str, Any]:
        """Return the settings by which synthetic batches are those that the consumer is fed."""
        choice = self.plan.choice
        if find_loader(choice.loader).own is None:
            return self._output()
        return {"like": choice.loader, "like_settings": choice.settings}

    def _output(self) -> dict[str, Any]:
        """Return the setting by which synthetic batches have the loader's dtype."""
        choice = self.plan.choice
        settings = parse_settings(find_loader(choice.loader), choice.settings)
        return {"output": settings.image_dtype}

    def _cache_states(self) -> list[CacheState]:
        """Return the cache states that can be brought about on this machine."""
        return ["warm"] if self.record.not_cold else ["warm", "cold"]

    @property
    def _batch_bytes_per_image(self) -> int:
        item_bytes = 4 if self._output()["output"] == "float32" else 1
        return 3 * self.plan.spec.image_size**2 * item_bytes

    def _storage_measurements(self) -> list[Measurement]:
        if self.stages.reading is None:
            return []
        file_bytes = self.record.encoded_bytes / self.record.images
        return [
            self._stage_measurement("storage", depth, file_bytes, state)
            for state in self._cache_states()
            for depth in sorted({*_DEPTHS, _DEPTH_PER_CORE * self.record.cores})
        ] + [
            self._stage_measurement("storage in order", 1, file_bytes, state)
            for state in self._cache_states()
            if self.stages.reading.in_shards
        ]

    def _compute_measurements(self) -> list[Measurement]:
        return [
            self._stage_measurement(
                name, cores, self._batch_bytes_per_image if name == "batch copy" else None
            )
            for name, _ in compute_stages(self.stages)
            for cores in core_counts(self.stages, name, self.record.cores)
        ]

    def _stage_measurement(
        self,
        name: PartName,
        parallel: int,
        moved_bytes: float | None,
        state: CacheState | None = None,
    ) -> Measurement:
        is_of_service = name in OF_SERVICE
        part = Part(
            name=name,
            parallel=None if is_of_service else parallel,
            moved_bytes=moved_bytes,
            cache_state=state,
        )
        seconds = self.timing.block_s if is_of_service else self.timing.stage_s
        request = StageRequest(stage=name, parallel=parallel, cache_state=state, seconds=seconds)
        return Measurement(part, STAGES, request)

    def _trial_measurements(self) -> list[Measurement]:
        """Return the measurements of loader, fixed settings, transfer, consumer and end to end."""
        block = BlockRequest(seconds=self.timing.block_s, min_steps=1)
        measurements = [
            Measurement(Part(name="loader", cache_state=state), f"loader {state}", block)
            for state in self._cache_states()
        ]
        if self.at_other_size:
            part = Part(name="loader, other size", cache_state="warm")
            measurements.append(Measurement(part, "loader, other size", block))
        for number, choice in enumerate(self._fixed_choices()):
            part = Part(name="fixed", cache_state="warm", settings=choice.settings)
            measurements.append(Measurement(part, f"fixed {number}", block))
        if self._copies_to_device:
            part = Part(name="transfer", moved_bytes=self._batch_bytes_per_image)
            measurements.append(Measurement(part, "transfer", block))
        measurements.append(Measurement(Part(name="consumer"), "consumer", block))
        # A sequential loader has no batch ready when a block begins: long blocks dilute that.
        long_block = block.model_copy(update={"seconds": self.timing.end_to_end_s})
        end_to_end = Part(name="end to end", cache_state=self.record.cache_state)
        return [*measurements, Measurement(end_to_end, "end to end", long_block)]
