"""The child process of one trial: opens loader and consumer, and times blocks on request."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic, perf_counter

from feedbench.bench.consumers.base import Consumer, Drain
from feedbench.bench.consumers.device import CPU, names_of, training_device
from feedbench.bench.consumers.emulated import EmulatedAccelerator
from feedbench.bench.consumers.own_batches import FromOwn, value_extremes
from feedbench.bench.consumers.own_model import ModelFile
from feedbench.bench.consumers.own_trainer import OwnTrainer
from feedbench.bench.consumers.trainer import make_trainer, timed_phase
from feedbench.bench.consumers.transfer import Transfer
from feedbench.bench.loader_facts import dropped_by, losses_of
from feedbench.bench.meters.used import pci_bus_id
from feedbench.bench.plan.filling import MOST_OF_OWN_S, caches_own
from feedbench.bench.record import WarmUp
from feedbench.bench.trials.block import timed_block
from feedbench.bench.trials.cache_state import Recorded
from feedbench.bench.trials.fed import Crossing, use_up
from feedbench.bench.trials.internal_loaders import register
from feedbench.bench.trials.protocol import (
    BlockDone,
    BlockRequest,
    Opened,
    TrialJob,
    WarmUpDone,
    WarmUpProgress,
    WarmUpRequest,
)
from feedbench.bench.trials.serve import Channel, serve
from feedbench.loaders import (
    BASELINE,
    Batch,
    Manifest,
    Settings,
    Stream,
    always_fetch,
    find_loader,
    images_in,
    images_per_epoch,
    open_loader,
    parse_settings,
    size_of_images,
)
from feedbench.trainer import ONE, Replicas, divide_cpu, find_replicas, leave_gpu_to_backend

_PROGRESS_PERIOD_S = 1.0


@dataclass(frozen=True)
class _Needed:
    """What a warm-up lasts for at least.

    Attributes:
        seconds: minimum duration.
        images: minimum number of images.
        filling: number of images that fill a user's cache, if that takes no longer than
            `MOST_OF_OWN_S`.
    """

    seconds: float
    images: int
    filling: int = 0

    def is_met(self, seconds: float, images: int) -> bool:
        """Whether the warm-up may end, after this many seconds and images."""
        is_full = images >= self.filling or seconds >= MOST_OF_OWN_S
        return seconds >= self.seconds and images >= self.images and is_full


def run_trial(job: TrialJob, channel: Channel) -> None:
    """Warm up, then time a block for each request."""
    register()
    manifest = Manifest.read(job.manifest)
    settings = parse_settings(find_loader(job.loader), job.settings)
    _prepare_process(job, manifest)
    start_s = monotonic() - channel.started
    opened = perf_counter()
    failures = job.failures.model_dump()
    with open_loader(job.loader, manifest, job.spec, settings, **failures) as stream:
        first = next(stream)
        first_batch_s = perf_counter() - opened
        trained_on = find_replicas(job.devices) if job.consumer == "train" else Replicas()
        consumer = _open_consumer(job, manifest, settings, first, trained_on)
        model = consumer.origin if isinstance(consumer, OwnTrainer) else None
        recorded = Recorded(consumer, manifest, job.cache_state) if job.cache_state else None
        consumer = recorded or consumer
        consumer.step(first)
        consumer.finish()
        if job.waits and not _is_asked_to_warm_up(channel):
            return
        needed = _needed_warm_up(job, manifest, settings)
        seconds, images = _warm_up(stream, consumer, needed, channel)
        warm_up = WarmUp(
            requested_s=job.warm_up_s,
            start_s=start_s,
            first_batch_s=first_batch_s,
            seconds=seconds,
            images=images,
        )
        channel.answer(_done(job, first, warm_up, model, trained_on))
        _time_blocks(stream, consumer, recorded, channel)


def _prepare_process(job: TrialJob, manifest: Manifest) -> None:
    """Set up what the job needs of the whole process, before a loader opens and takes its part."""
    if job.cache_state == "cold" and manifest.is_remote:
        always_fetch()
    if job.consumer in ("train", "transfer"):
        divide_cpu(job.devices)
    if job.consumer == "train":
        leave_gpu_to_backend()  # and import Keras for the trainer: no loader's time may include it


def _is_asked_to_warm_up(channel: Channel) -> bool:
    """Say that the first step is done; return whether the parent wants more than that."""
    channel.answer(Opened())
    return next(channel.requests(WarmUpRequest), None) is not None


def _done(
    job: TrialJob, first: Batch, warm_up: WarmUp, model: ModelFile | None, trained_on: Replicas
) -> WarmUpDone:
    device = training_device() if job.consumer == "train" else None
    if device != CPU and trained_on.devices and trained_on.devices[0].startswith(CPU):
        device = CPU
    has_one_gpu = device not in (None, CPU) and len(trained_on.devices) < 2
    return WarmUpDone(
        warm_up=warm_up,
        device=device,
        devices=list(trained_on.devices),
        pci_bus_id=pci_bus_id() if has_one_gpu else None,
        model=model,
        rows_known=first.rows is not None,
        batch_size=images_in(first),
        image_size=size_of_images(first),
        value_range=value_extremes(first.images) if find_loader(job.loader).own else None,
    )


def _time_blocks(
    stream: Stream, consumer: Consumer, recorded: Recorded | None, channel: Channel
) -> None:
    """Time a block for each request."""
    for request in channel.requests(BlockRequest):
        before_cpu_s = use_up(stream, consumer)
        if recorded:
            recorded.rows.clear()
        crossing = Crossing(stream)
        block = timed_block(stream, consumer, request.seconds, request.min_steps)
        done = BlockDone(
            block=block.model_copy(update=crossing.fields()),
            before_cpu_s=before_cpu_s,
            rows=recorded.rows if recorded else [],
            dropped=dropped_by(stream),
            coverage=stream.coverage(),
            losses=losses_of(stream),
        )
        channel.answer(done)


def _open_consumer(
    job: TrialJob, manifest: Manifest, settings: Settings, first: Batch, trained_on: Replicas
) -> Consumer:
    if job.consumer == "drain":
        return Drain()
    if job.consumer == "transfer":
        return Transfer([job.device] if job.devices == ONE else names_of(job.devices))
    if job.accelerator is not None:
        return EmulatedAccelerator(job.accelerator.seconds_per_image(job.spec.image_size))
    own = find_loader(job.settings.get("like") or job.loader).own
    trainer = make_trainer(
        job.recipe,
        job.spec,
        manifest,
        settings.image_dtype,
        first=first,
        own=own,
        made_up=job.loader == BASELINE,
        replicas=trained_on,
    )
    trainer.enter(timed_phase(job.recipe))
    if own is None or job.recipe.own_model:
        return trainer
    return FromOwn(trainer, len(manifest.classes), own)


def _needed_warm_up(job: TrialJob, manifest: Manifest, settings: Settings) -> _Needed:
    """Return how long to warm up: a loader is slower until its cache is full."""
    minimum = job.min_warm_up_steps * job.spec.batch_size
    if not (settings.fills_cache or (job.waits and caches_own(job.loader))):
        return _Needed(job.warm_up_s, minimum)
    epoch = int(images_per_epoch(manifest, job.spec).sum()) + 2 * job.spec.batch_size
    if settings.fills_cache:
        return _Needed(job.warm_up_s, max(minimum, epoch))
    return _Needed(job.warm_up_s, minimum, filling=epoch)


def _warm_up(
    stream: Stream, consumer: Consumer, needed: _Needed, channel: Channel
) -> tuple[float, int]:
    """Feed the consumer outside any block; return the seconds and images it took."""
    begin = answered = perf_counter()
    images = 0
    while not needed.is_met(perf_counter() - begin, images):
        batch = next(stream)
        consumer.step(batch)
        images += images_in(batch)
        if perf_counter() - answered > _PROGRESS_PERIOD_S:
            answered = perf_counter()
            most = max(needed.images, needed.filling)
            channel.answer(WarmUpProgress(images=images, needed=most))
    consumer.finish()
    return perf_counter() - begin, images


if __name__ == "__main__":
    serve(TrialJob, run_trial)
