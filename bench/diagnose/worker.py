"""The child process that prepares the stages of a loader and runs one of them per request."""

from __future__ import annotations

from contextlib import closing, nullcontext
from time import monotonic

from feedbench.bench.diagnose.autotune import autotune_nodes
from feedbench.bench.diagnose.messages import StageJob, StageRequest, StagesReady
from feedbench.bench.diagnose.own import observed
from feedbench.bench.diagnose.python_lock import lock_share
from feedbench.bench.diagnose.stages import compute_stages, core_counts, stages_of
from feedbench.bench.meters.process import tree_usage
from feedbench.bench.record import TimedBlock
from feedbench.bench.trials.internal_loaders import register
from feedbench.bench.trials.protocol import BlockDone
from feedbench.bench.trials.serve import Channel, serve
from feedbench.bench.trials.storage import ReadResult, Storage
from feedbench.bench.trials.storage_in_order import InOrder
from feedbench.loaders import Manifest, find_loader, parse_settings
from feedbench.loaders.stages import Run, Stages, Timed

_LOCK_S = 0.5
StageKey = tuple[str, int]  # a stage's name, and the number of cores it is prepared for


def run_stages(job: StageJob, channel: Channel) -> None:
    """Prepare all stages, then run one of them for each request."""
    register()
    loader = find_loader(job.loader)
    manifest = Manifest.read(job.manifest)
    settings = parse_settings(loader, job.settings)
    stages = stages_of(loader, manifest, job.spec, settings)
    # Before anything starts threads: it forks.
    storage = Storage(manifest, stages.reading, processes=job.cores) if stages.reading else None
    in_order = InOrder(manifest) if stages.reading and stages.reading.in_shards else None
    with closing(stages.service) if stages.service else nullcontext():
        runs = _prepare(stages, job.cores)
        for run in runs.values():
            run(job.warm_up_s)
        channel.answer(_ready(job, stages, manifest, channel.started))
        for request in channel.requests(StageRequest):
            _make_ready(request, stages, storage)
            channel.answer(BlockDone(block=_block(request, storage, in_order, runs)))


def _ready(job: StageJob, stages: Stages, manifest: Manifest, started: float) -> StagesReady:
    """Return what is known of the stages besides their rates."""
    loader = find_loader(job.loader)
    settings = parse_settings(loader, job.settings)
    nodes = autotune_nodes(loader, manifest, job.spec, settings, job.model_s)
    locked = None
    if stages.concurrency and stages.concurrency.kind == "threads" and not settings.fills_cache:
        locked = lock_share(loader, manifest, job.spec, settings, _LOCK_S)
    seen = None
    if loader.own:
        seen = observed(loader, manifest, job.spec, settings, job.opened_s, job.model_s)
    return StagesReady(
        start_s=monotonic() - started,
        autotuned=nodes,
        locked=locked,
        observed=seen,
        service_workers=stages.service.count() if stages.service else None,
    )


def _prepare(stages: Stages, cores: int) -> dict[StageKey, Run]:
    """Prepare every stage after reading, for each number of cores that it is measured on."""
    return {
        (name, count): stage(count)
        for name, stage in compute_stages(stages)
        for count in core_counts(stages, name, cores)
    }


def _make_ready(request: StageRequest, stages: Stages, storage: Storage | None) -> None:
    """Prepare what is not timed: a service reads warm files, and begins without any batch."""
    if stages.service is None:
        return
    if request.stage == "service workers" and storage is not None:
        storage.files.bring_into("warm")
    if request.stage == "service workers" or request.stage == "network":
        stages.service.use_up(request.stage)


def _block(
    request: StageRequest,
    storage: Storage | None,
    in_order: InOrder | None,
    runs: dict[StageKey, Run],
) -> TimedBlock:
    state = request.cache_state
    if storage is not None and state is not None:
        storage.prepare(state)
    before = tree_usage()
    result: ReadResult | Timed
    if in_order is not None and state is not None and request.stage == "storage in order":
        result = in_order.read(state, request.seconds)
    elif storage is not None and state is not None:
        result = storage.read(state, request.parallel, request.seconds)
    else:
        result = runs[request.stage, request.parallel](request.seconds)
    used = tree_usage().since(before)
    return TimedBlock(
        seconds=result.seconds,
        images=result.images,
        wait_s=[],
        step_s=[],
        # Of reads without their preparation: evicting files takes longer than reading some.
        cpu_s=round(result.cpu_s if isinstance(result, ReadResult) else used.cpu_s, 4),
        disk_read_bytes=used.read_bytes if used.disk_known else None,
        fetched_bytes=used.fetched_bytes,
        consumed_bytes=result.bytes if isinstance(result, ReadResult) else None,
        **_crossed(result),
    )


def _crossed(result: ReadResult | Timed) -> dict[str, int]:
    """Return what crossed the network as fields of a block; empty if it was not used."""
    if isinstance(result, ReadResult) or result.traffic is None:
        return {}
    return {"received_bytes": result.traffic.received, "sent_bytes": result.traffic.sent}


if __name__ == "__main__":
    serve(StageJob, run_stages)
