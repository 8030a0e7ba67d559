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
from feedbench.loaders import BASELINE, Manifest, Stream, open_loader
from feedbench.trainer import TrainerBase, leave_gpu_to_backend

# The first step traces; those after it may still choose algorithms and allocate memory.
_WARM_UP_STEPS = 3
_BLOCKS = 6  # whose range holds the median rate with 97 % confidence


def measure(job: BatchSizeJob, channel: Channel) -> None:
    """Train for the time of the job, and answer with a `Measurement`."""
    _prefer_for_oom_kill()
    leave_gpu_to_backend()
    manifest = Manifest.read(job.manifest)
    with open_loader(BASELINE, manifest, job.spec, {}) as batches:
        first = next(batches)
        trainer = make_trainer(job.recipe, job.spec, manifest, "uint8", first=first, made_up=True)
        for _ in range(_WARM_UP_STEPS):
            trainer.step(next(batches))
        trainer.finish()
        seconds = job.seconds / _BLOCKS
        rates = [job.spec.batch_size * _block(trainer, batches, seconds) for _ in range(_BLOCKS)]
    channel.answer(
        Measurement(
            rates=rates,
            host_bytes=tree_peak_memory(),
            device_bytes=_device_bytes(),
        )
    )


def _block(trainer: TrainerBase, batches: Stream, min_s: float) -> float:
    """Train for at least this time, and return the steps per second."""
    begin, steps = perf_counter(), 0
    while not steps or perf_counter() - begin < min_s:
        trainer.step(next(batches))
        steps += 1
    trainer.finish()
    return steps / (perf_counter() - begin)


def _prefer_for_oom_kill() -> None:
    """Make Linux kill this process first if memory runs out."""
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text("1000")


def _device_bytes() -> int | None:
    """Return the peak memory that the training needed on its GPU; None without one.

    What TensorFlow has taken from the GPU may be twice as much: it takes ever larger regions.
    """
    import tensorflow as tf

    if tf.config.list_logical_devices("GPU"):
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    meter = GpuMeter(training_gpus())  # another backend trains
    meter.sample()
    return max((int(size) for size in meter.latest("memory_bytes")), default=None)


if __name__ == "__main__":
    serve(BatchSizeJob, measure)
