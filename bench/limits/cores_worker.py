"""The child process that runs a loader on some of the cores and samples its threads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from time import perf_counter, process_time

from feedbench.bench.limits.messages import CoresDone, CoresJob
from feedbench.bench.limits.sampling import Sampler
from feedbench.bench.limits.scaling_record import CoreBlock, OnCores
from feedbench.bench.meters.process import tree_usage
from feedbench.bench.trials.serve import Channel, serve
from feedbench.loaders import (
    Batch,
    Manifest,
    Settings,
    find_loader,
    images_in,
    images_per_epoch,
    open_loader,
    parse_settings,
)

_LEAST_BATCHES = 3  # of a warm-up


def run_on_cores(job: CoresJob, channel: Channel) -> None:
    """Measure, and answer once."""
    os.sched_setaffinity(0, job.cpus)  # before anything starts threads, which inherit it
    manifest = Manifest.read(job.manifest)
    settings = parse_settings(find_loader(job.loader), job.settings)
    with (
        Sampler() as sampler,
        open_loader(job.loader, manifest, job.spec, settings) as stream,
    ):
        _warm_up(stream, job, _images_of_warm_up(job, manifest, settings))
        before_s = _cpu_s_of_others()  # takes a while, and so is not done while threads are sampled
        sampler.start()
        blocks = [_block(stream, sampler, job.block_s) for _ in range(job.blocks)]
        threads, locks = sampler.stop()
        measured = OnCores(
            cores=len(job.cpus),
            blocks=blocks,
            others_cpu_s=max(0.0, _cpu_s_of_others() - before_s),
            threads=threads,
            locks=locks,
        )
    channel.answer(CoresDone(measured=measured))


def _cpu_s_of_others() -> float:
    """Return the CPU seconds of the processes that the loader has started."""
    own = os.times()
    return tree_usage().cpu_s - own.user - own.system


def _images_of_warm_up(job: CoresJob, manifest: Manifest, settings: Settings) -> int:
    """Return how many images a warm-up needs: a loader is slower until its cache is full."""
    least = _LEAST_BATCHES * job.spec.batch_size
    if not settings.fills_cache:
        return least
    return least + int(images_per_epoch(manifest, job.spec).sum())


def _warm_up(stream: Iterator[Batch], job: CoresJob, images: int) -> None:
    begin = perf_counter()
    while images > 0 or perf_counter() - begin < job.warm_up_s:
        images -= images_in(next(stream))


def _block(stream: Iterator[Batch], sampler: Sampler, seconds: float) -> CoreBlock:
    cpu_before, begin, images = process_time(), perf_counter(), 0
    while not images or perf_counter() - begin < seconds:
        images += images_in(next(stream))
        sampler.look()
    elapsed, cpu_s = perf_counter() - begin, process_time() - cpu_before
    return CoreBlock(seconds=elapsed, images=images, cpu_s=cpu_s)


if __name__ == "__main__":
    serve(CoresJob, run_on_cores)
