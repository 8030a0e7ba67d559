"""Which batch size fits into memory, and which is as fast as any: each tried in its own process."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from feedbench.bench.errors import PlanError
from feedbench.bench.meters.gpu import find_gpus
from feedbench.bench.meters.process import available_memory, out_of_memory_kills
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
                order = {
                    "manifest": str(kept),
                    "spec": spec.model_copy(update={"batch_size": size}).model_dump(mode="json"),
                    "recipe": recipe.model_dump(mode="json"),
                    "seconds": seconds,
                }
                one = _try(size, order, time_limit)
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


def _try(size: int, order: dict[str, Any], time_limit: float) -> Tried:
    kills = out_of_memory_kills()
    child = subprocess.Popen(
        [sys.executable, "-P", "-m", "feedbench.bench.training.batch_size_worker"],
        env=_environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        answer, errors = child.communicate(json.dumps(order) + "\n", timeout=time_limit)
    except subprocess.TimeoutExpired:
        return Tried(
            batch_size=size,
            fits=False,
            why=f"not done after {time_limit:.0f} s; raise --time-limit",
        )
    finally:
        if child.poll() is None:
            os.killpg(child.pid, signal.SIGKILL)
            child.communicate()
    return read_answer(size, answer, errors, child.returncode, out_of_memory_kills() > kills)


def read_answer(size: int, answer: str, errors: str, code: int, killed: bool) -> Tried:
    """What a child's answer, its standard error and its end say of a batch size."""
    values = json.loads(answer) if answer.strip() else {}
    complaint = next(complaints(errors), None)
    if "error" in values or code != 0:
        told = values.get("error") or complaint
        if told is None and code < 0:
            name = signal.Signals(-code).name
            told = f"out of memory: the kernel ended it ({name})" if killed else f"crashed: {name}"
        return Tried(batch_size=size, fits=False, why=told or f"ended with exit code {code}")
    why = f"allocator's warning: {complaint}" if complaint else None
    return Tried(batch_size=size, fits=complaint is None, why=why, **values)


def complaints(errors: str) -> Iterator[str]:
    """Lines of standard error in which an allocator or the system is short of memory."""
    for line in errors.splitlines():
        if any(words in line.lower() for words in _COMPLAINTS):
            yield line.strip()[:200]


def _environment() -> dict[str, str]:
    """The child's: allocators' warnings are told, and GPU memory is taken as needed."""
    return {
        **os.environ,
        "TF_CPP_MIN_LOG_LEVEL": "1",
        "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    }
