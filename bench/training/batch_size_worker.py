"""The process that trains with one batch size on synthetic images, and measures rate and memory."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from time import perf_counter

from feedbench.bench.consumers.trainer import make_trainer
from feedbench.bench.meters.gpu import GpuMeter, training_gpus
from feedbench.bench.meters.process import tree_peak_memory
from feedbench.bench.training.batch_size import BatchSizeJob, Measurement
from feedbench.bench.trials.serve import Channel, serve
from feedbench.loaders import BASELINE, Manifest, open_loader

# The first step traces; those after it may still choose algorithms and allocate memory.
_WARM_UP_STEPS = 3
_MIN_STEPS = 3


def measure(job: BatchSizeJob, channel: Channel) -> None:
    """Train for the time of the job, and answer with a `Measurement`."""
    _prefer_for_oom_kill()
    manifest = Manifest.read(job.manifest)
    trainer = make_trainer(job.recipe, job.spec, manifest, "uint8")
    with open_loader(BASELINE, manifest, job.spec, {}) as batches:
        for _ in range(_WARM_UP_STEPS):
            trainer.step(next(batches))
        trainer.finish()
        begin, steps = perf_counter(), 0
        while steps < _MIN_STEPS or perf_counter() - begin < job.seconds:
            trainer.step(next(batches))
            steps += 1
        trainer.finish()
        seconds = perf_counter() - begin
    channel.answer(
        Measurement(
            images_per_second=steps * job.spec.batch_size / seconds,
            host_bytes=tree_peak_memory(),
            device_bytes=_device_bytes(),
        )
    )


def _prefer_for_oom_kill() -> None:
    """Make Linux kill this process first if memory runs out."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _device_bytes() -> int | None:
    """Return the memory in use on the GPU; None without one.

    TensorFlow never returns memory to the GPU, so what is in use at the end is the peak.
    """
    meter = GpuMeter(training_gpus())
    meter.sample()
    used = [int(size) for size in meter.latest("memory_bytes")]
    return max(used, default=None)


if __name__ == "__main__":
    serve(BatchSizeJob, measure)
