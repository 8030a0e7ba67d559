"""Which batch size fits into memory, and which is as fast as any: each tried in its own process."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pydantic import BaseModel

from feedbench.bench.errors import ChildDied, PlanError, TrialError
from feedbench.bench.meters.gpu import find_gpus
from feedbench.bench.meters.process import available_memory
from feedbench.bench.trials.child import Child
from feedbench.bench.trials.messages import Message, Service
from feedbench.loaders import BatchSpec, Manifest
from feedbench.trainer import Recipe

HEAD_ROOM = 0.1  # share of the memory left free: fragments, another augmentation, a desktop
NEAR_BEST = 0.98  # of the best rate: a smaller batch that reaches it generalizes no worse
_COMPLAINTS = (
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
    """Train on synthetic images with the spec's batch size, for at least so many seconds."""

    manifest: Path
    spec: BatchSpec
    recipe: Recipe
    seconds: float


class Measured(Message):
    """What the training took.

    Attributes:
        host_bytes: peak of the process tree.
        device_bytes: in use on the fullest GPU; None without one.
    """

    images_per_second: float
    host_bytes: int
    device_bytes: int | None


BATCH_SIZE_WORKER = Service("feedbench.bench.training.batch_size_worker", (Measured,))


class Tried(BaseModel):
    """One batch size as measured.

    Attributes:
        fits: it trained with no out-of-memory error and no allocator's warning.
        device_bytes: in use on the GPU; None without one.
        why: what speaks against it.
    """

    batch_size: int
    fits: bool
    images_per_second: float | None = None
    host_bytes: int | None = None
    device_bytes: int | None = None
    why: str | None = None


class Sizes(BaseModel):
    """All that were tried, and the two to choose between.

    Attributes:
        memory_bytes: what there is, of the GPU, or of the host without one.
        largest: the largest that fits with head-room.
        smallest: the smallest whose rate is within 2 % of the best that fits.
    """

    tried: list[Tried]
    memory_bytes: int
    on_device: bool
    largest: int | None
    smallest: int | None


def sizes_between(least: int, most: int) -> list[int]:
    """Powers of two and sums of two neighbouring ones, such as 64, 96, 128, 192, 256, 384."""
    powers = [2**exponent for exponent in range(most.bit_length() + 1)]
    sums = [power + power // 2 for power in powers if power > 1]
    return sorted(size for size in {*powers, *sums} if least <= size <= most)


def try_sizes(
    manifest: Manifest,
    spec: BatchSpec,
    recipe: Recipe,
    sizes: Sequence[int],
    *,
    seconds: float,
    time_limit: float,
    on_tried: Callable[[Tried], None],
) -> Sizes:
    """Try sizes upwards until one does not fit.

    Args:
        seconds: least length of each timing.
        time_limit: seconds that one size may take in all.

    Raises:
        PlanError: there is no size to try.
    """
    if not sizes:
        raise PlanError("no batch size between --min and --max; widen them")
    memory, on_device = _memory()
    tried: list[Tried] = []
    with tempfile.TemporaryDirectory(prefix="feedbench-") as folder:
        kept = Path(folder) / "manifest.parquet"
        manifest.write(kept)
        for size in sizes:
            one = _expected_to_fail(tried, size, memory, on_device)
            if one is None:
                sized = spec.model_copy(update={"batch_size": size})
                job = BatchSizeJob(manifest=kept, spec=sized, recipe=recipe, seconds=seconds)
                one = _try(job, time_limit)
            tried.append(one)
            on_tried(one)
            if not one.fits:
                break
    return choose(tried, memory, on_device)


def choose(tried: list[Tried], memory: int, on_device: bool) -> Sizes:
    """The two recommendations."""
    roomy = [
        one
        for one in tried
        if one.fits and (_held(one, on_device) or 0) <= (1 - HEAD_ROOM) * memory
    ]
    best = max((one.images_per_second or 0 for one in roomy), default=0)
    near = [one for one in roomy if (one.images_per_second or 0) >= NEAR_BEST * best]
    return Sizes(
        tried=tried,
        memory_bytes=memory,
        on_device=on_device,
        largest=max((one.batch_size for one in roomy), default=None),
        smallest=min((one.batch_size for one in near), default=None),
    )


def _held(one: Tried, on_device: bool) -> int | None:
    return one.device_bytes if on_device else one.host_bytes


def _memory() -> tuple[int, bool]:
    """Bytes of the smallest GPU, or of what the host has free; and whether it is a GPU's."""
    import pynvml

    gpus = [int(pynvml.nvmlDeviceGetMemoryInfo(handle).total) for _, handle in find_gpus()]
    return (min(gpus), True) if gpus else (available_memory(), False)


def _expected_to_fail(tried: list[Tried], size: int, memory: int, on_device: bool) -> Tried | None:
    """Host memory that is known to be too little is not tried: it is others' as well."""
    if on_device or len(tried) < 2:
        return None
    one, other = tried[-2:]
    slope = ((other.host_bytes or 0) - (one.host_bytes or 0)) / (other.batch_size - one.batch_size)
    need = (other.host_bytes or 0) + slope * (size - other.batch_size)
    if need <= memory:
        return None
    why = f"would need about {need / 1e9:.1f} GB of the {memory / 1e9:.1f} GB that are free"
    return Tried(batch_size=size, fits=False, why=f"not tried: {why}")


def _try(job: BatchSizeJob, time_limit: float) -> Tried:
    size = job.spec.batch_size
    # Log level 1 shows allocators' warnings; memory that is taken at once would say nothing.
    environment = {"TF_CPP_MIN_LOG_LEVEL": "1", "TF_FORCE_GPU_ALLOW_GROWTH": "true"}
    with Child(BATCH_SIZE_WORKER, job, environment=environment) as child:
        try:
            answer: Measured | TrialError = child.wait_for(
                Measured, time_limit, f"batch size {size}"
            )
        except TrialError as error:
            answer = error
    return outcome(size, answer, child.errors)


def outcome(size: int, answer: Measured | TrialError, errors: str) -> Tried:
    """What a child's answer or its end, and its standard error, say of a batch size."""
    complaint = next(complaints(errors), None)
    if isinstance(answer, TrialError):
        # Of a child that died, what the allocator last said explains more than the signal.
        cause = complaint if isinstance(answer, ChildDied) else None
        return Tried(batch_size=size, fits=False, why=cause or str(answer))
    why = f"allocator's warning: {complaint}" if complaint else None
    return Tried(batch_size=size, fits=complaint is None, why=why, **dict(answer))


def complaints(errors: str) -> Iterator[str]:
    """Lines of standard error in which an allocator or the system is short of memory."""
    for line in errors.splitlines():
        if any(words in line.lower() for words in _COMPLAINTS):
            yield line.strip()[:200]
