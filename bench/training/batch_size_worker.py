"""The child process of one batch size: trains on synthetic images, and measures rate and memory."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from time import perf_counter

from feedbench.bench.consumers.trainer import make_trainer
from feedbench.bench.meters.gpu import GpuMeter, find_gpus
from feedbench.bench.meters.process import tree_peak_memory
from feedbench.bench.training.batch_size import BatchSizeJob, Measured
from feedbench.bench.trials.serve import Channel, serve
from feedbench.loaders import BASELINE, Manifest, open_loader

_WARM_STEPS = 3  # the first traces; the ones after it may still choose algorithms and take memory
_LEAST_STEPS = 3


def measure(job: BatchSizeJob, channel: Channel) -> None:
    """Train and answer."""
    _go_first()
    manifest = Manifest.read(job.manifest)
    trainer = make_trainer(job.recipe, job.spec, manifest, "uint8")
    with open_loader(BASELINE, manifest, job.spec, {}) as batches:
        for _ in range(_WARM_STEPS):
            trainer.step(next(batches))
        trainer.finish()
        begin, steps = perf_counter(), 0
        while steps < _LEAST_STEPS or perf_counter() - begin < job.seconds:
            trainer.step(next(batches))
            steps += 1
        trainer.finish()
        seconds = perf_counter() - begin
    channel.answer(
        Measured(
            images_per_second=steps * job.spec.batch_size / seconds,
            host_bytes=tree_peak_memory(),
            device_bytes=_device_bytes(),
        )
    )


def _go_first() -> None:
    """Where memory runs out, let Linux end this process and no other."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _device_bytes() -> int | None:
    """In use on the fullest GPU. TensorFlow gives no memory back, so the end is the peak."""
    meter = GpuMeter(find_gpus())
    meter.sample()
    used = [int(size) for size in meter.latest("memory_bytes")]
    return max(used, default=None)


if __name__ == "__main__":
    serve(BatchSizeJob, measure)
