"""The child process of the stages: prepares them, and works at one of them on request."""

from __future__ import annotations

from collections.abc import Callable
from time import time

from feedbench.bench.diagnose import delay_loader as rehearsal
from feedbench.bench.diagnose.autotune import Node, autotuned
from feedbench.bench.diagnose.messages import StageJob, StageRequest, StagesReady
from feedbench.bench.diagnose.stages import (
    PillowStages,
    Run,
    Stages,
    Storage,
    TensorFlowStages,
)
from feedbench.bench.meters.process import tree_peak_memory, tree_usage
from feedbench.bench.record import TimedBlock
from feedbench.bench.trials.messages import BlockDone
from feedbench.bench.trials.serve import Channel, serve
from feedbench.loaders import Manifest, find_loader, parse_settings
from feedbench.loaders.tf_data import TfData

_AUTOTUNE_S = 3.0  # AUTOTUNE looks again after 10 ms, 20 ms, 40 ms …: some eight times
Stage = tuple[str, int]  # its name, and the cores or the reads under way at once


def run_stages(job: StageJob, channel: Channel) -> None:
    """Prepare all stages, then work at one for each request."""
    manifest = Manifest.read(job.manifest)
    storage = Storage(manifest, read=_reader(job))
    runs = _runs(_stages(job, manifest), job.cores)
    for run in runs.values():
        run(job.warm_up_s)
    nodes = _autotuned(job, manifest)
    channel.answer(StagesReady(start_s=time() - channel.started, autotuned=nodes))
    for request in channel.requests(StageRequest):
        block = _block(request, storage, runs)
        channel.answer(BlockDone(block=block, peak_memory_bytes=tree_peak_memory()))


def _reader(job: StageJob) -> Callable[[bytes], int] | None:
    if job.loader != rehearsal.NAME:
        return None
    return rehearsal.throttled(rehearsal.Rehearsal.model_validate(job.settings))


def _stages(job: StageJob, manifest: Manifest) -> Stages:
    if job.loader == rehearsal.NAME:
        settings = rehearsal.Rehearsal.model_validate(job.settings)
        return rehearsal.RehearsalStages(manifest, job.spec, settings)
    loader = find_loader(job.loader)
    kind = PillowStages if loader.decoder == "pillow" else TensorFlowStages
    return kind(manifest, job.spec, parse_settings(loader, job.settings))


def _autotuned(job: StageJob, manifest: Manifest) -> list[Node] | None:
    if job.loader != "tf_data":
        return None
    settings = TfData.model_validate(job.settings)
    if not settings.autotuned:
        return None
    return autotuned(manifest, job.spec, settings, _AUTOTUNE_S)


def _runs(stages: Stages, cores: int) -> dict[Stage, Run]:
    runs: dict[Stage, Run] = {}
    for count in sorted({1, cores}):
        runs["decode", count] = stages.decode(count)
        runs["transform", count] = stages.transform(count)
    runs["assemble", 1] = stages.assemble()
    return runs


def _block(request: StageRequest, storage: Storage, runs: dict[Stage, Run]) -> TimedBlock:
    state = request.cache_state
    if state is not None:
        storage.prepare(state)
    before = tree_usage()
    if state is not None:
        done = storage.read(state, request.parallel, request.seconds)
    else:
        done = runs[request.stage, request.parallel](request.seconds)
    used = tree_usage().since(before)
    return TimedBlock(
        seconds=done.seconds,
        images=done.images,
        wait_s=[],
        step_s=[],
        cpu_s=round(used.cpu_s, 4),
        disk_read_bytes=used.read_bytes if used.disk_known else None,
        consumed_bytes=None if done.rows is None else storage.size(done.rows),
    )


if __name__ == "__main__":
    serve(StageJob, run_stages)
