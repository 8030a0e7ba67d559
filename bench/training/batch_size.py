"""Finds the batch sizes that fit into memory, and the smallest that is as fast as any."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from pydantic import BaseModel

from feedbench.bench.errors import ChildDied, PlanError, TrialError
from feedbench.bench.meters.gpu import gpu_memory, training_gpus
from feedbench.bench.trials.child import Child
from feedbench.bench.trials.protocol import Message, Service
from feedbench.loaders import BatchSpec, Manifest, available_memory
from feedbench.trainer import Recipe

HEADROOM = 0.1  # fraction of memory left free: fragmentation, other augmentation, a desktop
NEAR_BEST = 0.98  # of the best rate: a smaller batch that reaches it generalizes at least as well
_OUT_OF_MEMORY = (
    "ran out of memory",
    "out of memory",
    "exceeds 10% of free system memory",
    "bad_alloc",
    "cannot allocate memory",
    "failed to allocate",
    "resource_exhausted",
    "resource exhausted",
)


class BatchSizeJob(Message):
    """Train on synthetic images with the batch size of the spec.

    Attributes:
        seconds: minimum duration of the timing, all blocks together.
    """

    manifest: Path
    spec: BatchSpec
    recipe: Recipe
    seconds: float


class Measurement(Message):
    """The rates and the memory of a training with one batch size.

    Attributes:
        rates: images per second of each block.
        host_bytes: peak memory of the process and its children.
        device_bytes: peak memory that the training needed on the GPU; None without one.
    """

    rates: list[float]
    host_bytes: int
    device_bytes: int | None


BATCH_SIZE_WORKER = Service("feedbench.bench.training.batch_size_worker", (Measurement,))


class SizeResult(BaseModel):
    """The result for one batch size.

    Attributes:
        fits: whether it trained without an out-of-memory error or an allocator's warning.
        images_per_second: median rate of the blocks.
        low, high: rates of the slowest and the fastest block.
        host_bytes: peak memory of the process and its children.
        device_bytes: peak memory that the training needed on the GPU; None without one.
        why: why it does not fit; None if it does.
    """

    batch_size: int
    fits: bool
    images_per_second: float | None = None
    low: float | None = None
    high: float | None = None
    host_bytes: int | None = None
    device_bytes: int | None = None
    why: str | None = None


class BatchSizes(BaseModel):
    """The results for all batch sizes, and two recommendations.

    Attributes:
        tried: the results, from small to large.
        memory_bytes: memory of the GPU; without one, the host's available memory.
        on_device: whether `memory_bytes` is that of a GPU.
        largest: the largest batch size that fits and leaves some memory free.
        smallest: the smallest of these that is not certainly more than 2 % slower than the best.
    """

    tried: list[SizeResult]
    memory_bytes: int
    on_device: bool
    largest: int | None
    smallest: int | None


@dataclass(frozen=True)
class Memory:
    """The memory into which a batch must fit.

    Attributes:
        size_bytes: memory of the GPU; without one, the host's available memory.
        on_device: whether it is that of a GPU.
    """

    size_bytes: int
    on_device: bool

    def used_by(self, result: SizeResult) -> int:
        """Return the bytes of this memory that a training used; 0 if that is unknown."""
        return (result.device_bytes if self.on_device else result.host_bytes) or 0


def sizes_between(smallest: int, largest: int) -> list[int]:
    """Return powers of two and sums of two neighbouring ones, such as 64, 96, 128, 192."""
    powers = [2**exponent for exponent in range(largest.bit_length() + 1)]
    sums = [power + power // 2 for power in powers if power > 1]
    return sorted(size for size in {*powers, *sums} if smallest <= size <= largest)


def try_sizes(
    manifest: Manifest,
    spec: BatchSpec,
    recipe: Recipe,
    sizes: Sequence[int],
    *,
    seconds: float,
    time_limit: float,
    on_result: Callable[[SizeResult], None],
) -> BatchSizes:
    """Train with each size in its own process until one does not fit.

    Args:
        sizes: batch sizes in ascending order.
        seconds: minimum duration of each timing.
        time_limit: seconds after which a size counts as not fitting.
        on_result: called with each result.

    Raises:
        PlanError: `sizes` is empty.
        TrialError: the code of the user's own model fails.
    """
    if not sizes:
        raise PlanError("no batch size between --min and --max; widen the range")
    memory = _find_memory()
    results: list[SizeResult] = []
    with tempfile.TemporaryDirectory(prefix="feedbench-") as folder:
        manifest_path = Path(folder) / "manifest.parquet"
        manifest.write(manifest_path)
        for size in sizes:
            sized = spec.model_copy(update={"batch_size": size})
            job = BatchSizeJob(manifest=manifest_path, spec=sized, recipe=recipe, seconds=seconds)
            result = _predict_failure(results, size, memory) or _train_in_child(job, time_limit)
            results.append(result)
            on_result(result)
            if not result.fits:
                break
    return recommend(results, memory)


def recommend(results: list[SizeResult], memory: Memory) -> BatchSizes:
    """Choose the largest size that leaves some memory free, and the smallest that is as fast."""
    limit = (1 - HEADROOM) * memory.size_bytes
    fitting = [result for result in results if result.fits and memory.used_by(result) <= limit]
    best = max((result.images_per_second or 0 for result in fitting), default=0)
    fast = [result for result in fitting if (result.high or 0) >= NEAR_BEST * best]
    return BatchSizes(
        tried=results,
        memory_bytes=memory.size_bytes,
        on_device=memory.on_device,
        largest=max((result.batch_size for result in fitting), default=None),
        smallest=min((result.batch_size for result in fast), default=None),
    )


def _find_memory() -> Memory:
    """Return the memory of the GPU, or the host's available memory without one."""
    size = gpu_memory(training_gpus())
    return Memory(available_memory(), False) if size is None else Memory(size, True)


def _predict_failure(results: list[SizeResult], size: int, memory: Memory) -> SizeResult | None:
    """Extrapolate the host memory; return a result if it will not suffice.

    Such a size is not tried, since other processes need the host's memory too.
    """
    if memory.on_device or len(results) < 2:
        return None
    (first_size, first_bytes), (second_size, second_bytes) = (
        (result.batch_size, memory.used_by(result)) for result in results[-2:]
    )
    bytes_per_image = (second_bytes - first_bytes) / (second_size - first_size)
    required = second_bytes + bytes_per_image * (size - second_size)
    if required <= memory.size_bytes:
        return None
    why = (
        f"not tried: it would need about {required / 1e9:.1f} GB, but only "
        f"{memory.size_bytes / 1e9:.1f} GB are available"
    )
    return SizeResult(batch_size=size, fits=False, why=why)


def _train_in_child(job: BatchSizeJob, time_limit: float) -> SizeResult:
    size = job.spec.batch_size
    # Log level 1 shows the allocators' warnings. Without growth, TensorFlow takes all of the GPU's
    # memory at once, and how much it needs would be unknown.
    environment = {"TF_CPP_MIN_LOG_LEVEL": "1", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    answer: Measurement | TrialError
    with Child(BATCH_SIZE_WORKER, job, environment=environment) as child:
        try:
            answer = child.wait_for(Measurement, time_limit, f"batch size {size}")
        except TrialError as error:
            if error.details:  # of the user's own code, which fails with any size
                raise TrialError(f"batch size {size}: {error}", error.details) from None
            answer = error
    return size_result(size, answer, child.errors)


def size_result(size: int, answer: Measurement | TrialError, stderr: str) -> SizeResult:
    """Judge a batch size by the answer of its process, or the lack of one, and its stderr."""
    warning = next(memory_warnings(stderr), None)
    if isinstance(answer, TrialError):
        # If the process died, the allocator's last message explains more than the signal.
        cause = warning if isinstance(answer, ChildDied) else None
        return SizeResult(batch_size=size, fits=False, why=cause or str(answer))
    return SizeResult(
        batch_size=size,
        fits=warning is None,
        images_per_second=median(answer.rates),
        low=min(answer.rates),
        high=max(answer.rates),
        host_bytes=answer.host_bytes,
        device_bytes=answer.device_bytes,
        why=f"warning of an allocator: {warning}" if warning else None,
    )


def memory_warnings(stderr: str) -> Iterator[str]:
    """Yield the lines of stderr that report a lack of memory."""
    for line in stderr.splitlines():
        if any(words in line.lower() for words in _OUT_OF_MEMORY):
            yield line.strip()[:200]
