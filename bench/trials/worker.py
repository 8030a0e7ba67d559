"""The child process of one trial: opens the loader and the consumer, times blocks on request."""

from __future__ import annotations

from time import perf_counter, time

from feedbench.bench.consumers.base import Consumer, Drain
from feedbench.bench.consumers.emulated import Emulated
from feedbench.bench.consumers.trainer import make_trainer
from feedbench.bench.consumers.transfer import Transfer
from feedbench.bench.internal_loaders import register
from feedbench.bench.meters.process import tree_peak_memory, tree_usage
from feedbench.bench.record import CacheState, TimedBlock, WarmUp, dropped_by
from feedbench.bench.trials.block import timed_block
from feedbench.bench.trials.cache_state import Files, Watched
from feedbench.bench.trials.messages import BlockDone, BlockRequest, TrialJob, Warm, Warming
from feedbench.bench.trials.serve import Channel, serve
from feedbench.loaders import (
    Manifest,
    Settings,
    Stream,
    find_loader,
    images_per_epoch,
    open_loader,
    parse_settings,
)

SIGN_OF_LIFE_S = 1.0


def run_trial(job: TrialJob, channel: Channel) -> None:
    """Warm up, then time a block for each request."""
    register()
    manifest = Manifest.read(job.manifest)
    settings = parse_settings(find_loader(job.loader), job.settings)
    if job.consumer == "train":
        import keras  # noqa: F401  the trainer needs it: no loader shall be charged for its import
    start_s = time() - channel.started
    opened = perf_counter()
    failures = job.failures.model_dump()
    with open_loader(job.loader, manifest, job.spec, settings, **failures) as stream:
        first = next(stream)
        first_batch_s = perf_counter() - opened
        consumer = _consumer(job, manifest, settings)
        watched = _watched(consumer, manifest, job.cache_state)
        consumer = watched or consumer
        consumer.step(first)
        consumer.finish()
        least_images = _least_images(job, manifest, settings)
        seconds, images = _warm_up(stream, consumer, job.warm_up_s, least_images, channel)
        warm_up = WarmUp(
            start_s=start_s, first_batch_s=first_batch_s, seconds=seconds, images=images
        )
        channel.answer(Warm(warm_up=warm_up))
        for request in channel.requests(BlockRequest):
            if watched:
                watched.begin_block(warm_again=job.others_evict)
            block = _metered(request, stream, consumer)
            if watched:
                consumed = {"consumed_bytes": watched.consumed_bytes()}
                block = block.model_copy(update=consumed)
            dropped, peak = dropped_by(stream), tree_peak_memory()
            channel.answer(BlockDone(block=block, peak_memory_bytes=peak, dropped=dropped))


def _consumer(job: TrialJob, manifest: Manifest, settings: Settings) -> Consumer:
    if job.consumer == "drain":
        return Drain()
    if job.consumer == "transfer":
        return Transfer(job.device)
    if job.accelerator is not None:
        return Emulated(job.accelerator.seconds_per_image(job.spec.image_size))
    return make_trainer(job.recipe, job.spec, manifest, settings.image_dtype)


def _watched(consumer: Consumer, manifest: Manifest, state: CacheState | None) -> Watched | None:
    """The consumer, its files in the state that was asked for; None where none was."""
    if state is None:
        return None
    files = Files(manifest)
    if state == "warm":
        files.warm()
    watched = Watched(consumer, files, state)
    watched.begin_block()  # so that a loader that reads ahead in its warm-up finds it so too
    return watched


def _least_images(job: TrialJob, manifest: Manifest, settings: Settings) -> int:
    """Images of the warm-up: while a cache is being filled its loader is slower than it will be."""
    least = job.least_warm_steps * job.spec.batch_size
    if not settings.fills_cache:
        return least
    epoch = int(images_per_epoch(manifest, job.spec).sum())
    return max(least, epoch + 2 * job.spec.batch_size)


def _warm_up(
    stream: Stream, consumer: Consumer, least_s: float, least_images: int, channel: Channel
) -> tuple[float, int]:
    """Feed the consumer untimed; seconds and images that it took."""
    begin = answered = perf_counter()
    images = 0
    while perf_counter() - begin < least_s or images < least_images:
        batch = next(stream)
        consumer.step(batch)
        images += len(batch.labels)
        if perf_counter() - answered > SIGN_OF_LIFE_S:
            answered = perf_counter()
            channel.answer(Warming(images=images, of=least_images))
    consumer.finish()
    return perf_counter() - begin, images


def _metered(request: BlockRequest, stream: Stream, consumer: Consumer) -> TimedBlock:
    """A timed block with the processor time and the disk reads of this process tree."""
    before = tree_usage()
    block = timed_block(stream, consumer, request.seconds, request.least_steps)
    used = tree_usage().since(before)
    return block.model_copy(
        update={
            "cpu_s": round(used.cpu_s, 4),
            "disk_read_bytes": used.read_bytes if used.disk_known else None,
        }
    )


if __name__ == "__main__":
    serve(TrialJob, run_trial)
