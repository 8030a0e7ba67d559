"""The child process of the stages: prepares them, and works at one of them on request."""

from __future__ import annotations

from time import time

from feedbench.bench.diagnose.autotune import autotuned
from feedbench.bench.diagnose.messages import StageJob, StageRequest, StagesReady
from feedbench.bench.diagnose.stages import Read, Storage, counts_of, measured_stages, stages_of
from feedbench.bench.internal_loaders import register
from feedbench.bench.meters.process import tree_peak_memory, tree_usage
from feedbench.bench.record import TimedBlock
from feedbench.bench.trials.messages import BlockDone
from feedbench.bench.trials.serve import Channel, serve
from feedbench.loaders import Manifest, find_loader, parse_settings
from feedbench.loaders.stages.stage import Run, Stages, Timed

_AUTOTUNE_S = 3.0  # AUTOTUNE looks again after 10 ms, 20 ms, 40 ms …: some eight times
Key = tuple[str, int]  # a stage's name, and the cores that it is prepared for


def run_stages(job: StageJob, channel: Channel) -> None:
    """Prepare all stages, then work at one for each request."""
    register()
    loader = find_loader(job.loader)
    manifest = Manifest.read(job.manifest)
    settings = parse_settings(loader, job.settings)
    stages = stages_of(loader, manifest, job.spec, settings)
    storage = Storage(manifest, stages.reading) if stages.reading else None
    runs = _runs(stages, job.cores)
    for run in runs.values():
        run(job.warm_up_s)
    nodes = autotuned(loader, manifest, job.spec, settings, _AUTOTUNE_S)
    channel.answer(StagesReady(start_s=time() - channel.started, autotuned=nodes))
    for request in channel.requests(StageRequest):
        block = _block(request, storage, runs)
        channel.answer(BlockDone(block=block, peak_memory_bytes=tree_peak_memory()))


def _runs(stages: Stages, cores: int) -> dict[Key, Run]:
    """Every stage that there is, prepared for each number of cores on which it is measured."""
    return {
        (name, count): stage(count)
        for name, stage in measured_stages(stages)
        for count in counts_of(stages, name, cores)
    }


def _block(request: StageRequest, storage: Storage | None, runs: dict[Key, Run]) -> TimedBlock:
    state = request.cache_state
    if storage is not None and state is not None:
        storage.prepare(state)
    before = tree_usage()
    done: Read | Timed
    if storage is not None and state is not None:
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
        consumed_bytes=done.bytes if isinstance(done, Read) else None,
    )


if __name__ == "__main__":
    serve(StageJob, run_stages)
