"""Means of the meter readings over blocks, and their description in words: pure functions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

from feedbench.bench.meters.gpu import throttling
from feedbench.bench.quantities import quantity
from feedbench.bench.record import Block, Gpu, Host, present

BUSY = 0.90  # NVML's utilization above which a waiting consumer is a contradiction
WAITING = 0.10  # fraction of the time; shorter waits, and smaller stalls, count as noise


def utilization_conflict(
    wait_share: float, stall: float | None, busy: float | None, multiprocessors: float | None
) -> str | None:
    """Return a note if NVML reports a busy GPU although the consumer waited; else None.

    The wait alone decides nothing: the host runs some steps ahead, so the device may still
    be working. What decides is the rate lost compared with synthetic batches.

    Args:
        wait_share: fraction of the time without a batch.
        stall: fraction lost of the rate with synthetic batches; None if not measured.
        busy: fraction of the time with a kernel running, by NVML; None without a GPU.
        multiprocessors: fraction in use, by GPM; None if it cannot be read.
    """
    if busy is None or busy < BUSY or wait_share < WAITING:
        return None
    conflict = (
        f"NVML reports the GPU as busy {busy:.0%} of the time, "
        f"although the consumer waited for batches {wait_share:.0%} of it"
    )
    explanation = (
        "NVML counts the time in which any kernel of any process runs, however little of the GPU "
        f"it uses{_in_use(multiprocessors)}."
    )
    if stall is None:
        return (
            f"{conflict}. The rate with synthetic batches would show which to believe. "
            f"{explanation}"
        )
    if stall < WAITING:
        return (
            f"{conflict}: believe NVML. Only {max(0.0, stall):.0%} of the rate with synthetic "
            "batches is lost, so the GPU still had queued steps while the consumer waited."
        )
    return (
        f"{conflict}: believe the wait. {stall:.0%} of the rate with synthetic batches is lost. "
        f"{explanation}"
    )


def _in_use(multiprocessors: float | None) -> str:
    if multiprocessors is None:
        return ""
    return f"; according to GPM, {multiprocessors:.0%} of the multiprocessors were in use"


def gpu_mean(blocks: Iterable[Block], reading: str, index: int | None = None) -> float | None:
    """Return the mean of a field of `Gpu` over all blocks; None if it was never read.

    Args:
        reading: name of the field.
        index: of one GPU; None for the mean over all GPUs.
    """
    return _mean(
        sample for gpu in _gpus(blocks, index) for sample in present(getattr(gpu, reading))
    )


def _gpus(blocks: Iterable[Block], index: int | None) -> list[Gpu]:
    return [gpu for block in blocks for gpu in block.gpus if index in (None, gpu.index)]


def host_mean(blocks: Iterable[Block], reading: str) -> float | None:
    """Return the mean of a field of `Host` over all blocks; None if it was never read."""
    hosts = [block.host for block in blocks if block.host]
    return _mean(sample for host in hosts for sample in present(getattr(host, reading)))


def cores_in_use(blocks: Iterable[Block]) -> float | None:
    """Return the mean number of cores in use by any process; None if it was never read."""
    hosts = [block.host for block in blocks if block.host and block.host.cores]
    return _mean(count for host in hosts for count in cores_at(host))


def cores_at(host: Host) -> list[float]:
    """Return the number of cores in use at each sample."""
    return [sum(present(fractions)) for fractions in zip(*host.cores.values(), strict=True)]


def throttled(blocks: Iterable[Block], index: int | None = None) -> dict[str, float]:
    """Return the fraction of samples with reduced clocks, by reason."""
    samples = [int(bits) for gpu in _gpus(blocks, index) for bits in present(gpu.clock_reasons)]
    counts = Counter(reason for bits in samples for reason in throttling(bits))
    return {reason: count / len(samples) for reason, count in counts.items()}


def _mean(samples: Iterable[float]) -> float | None:
    values = list(samples)
    return sum(values) / len(values) if values else None


def describe_host(blocks: list[Block], what: str) -> str | None:
    """Return a line on the load of the whole machine; None if nothing was read.

    Args:
        what: was timed, such as "end to end".
    """
    read, queue = host_mean(blocks, "disk_read_bytes_per_s"), host_mean(blocks, "disk_queue")
    minor, major = host_mean(blocks, "minor_faults_per_s"), host_mean(blocks, "major_faults_per_s")
    in_use, cores = cores_in_use(blocks), {len(block.host.cores) for block in blocks if block.host}
    parts = [
        f"{in_use:.1f} of {quantity(max(cores), 'core')} in use" if in_use is not None else "",
        f"{read / 1e6:,.0f} MB/s read from disks" if read is not None else "",
        f"{queue:.1f} disk requests in flight" if queue is not None else "",
        f"{minor:,.0f} minor page faults per second" if minor is not None else "",
        f"{major:,.1f} major page faults per second" if major is not None else "",
    ]
    text = ", ".join(filter(None, parts))
    return f"The whole machine, other processes included, {what}: {text}." if text else None


def describe_gpus(blocks: list[Block], what: str) -> list[str]:
    """Return one line on the load of each GPU.

    Args:
        what: was timed, such as "end to end".
    """
    indexes = sorted({gpu.index for block in blocks for gpu in block.gpus})
    return [text for index in indexes if (text := _describe_gpu(blocks, index, what))]


_GPU_FORMATS: dict[str, Callable[[float], str]] = {
    "utilization": lambda fraction: f"a kernel running {fraction:.0%} of the time (NVML)",
    "multiprocessors": lambda fraction: f"{fraction:.0%} of the multiprocessors in use (GPM)",
    "power_w": lambda watts: f"{watts:,.0f} W",
    "pcie_rx_bytes_per_s": lambda rate: f"{rate / 1e6:,.0f} MB/s from the host",
    "sm_clock_mhz": lambda clock: f"clock {clock:,.0f} MHz",
}


def _describe_gpu(blocks: list[Block], index: int, what: str) -> str | None:
    means = {name: gpu_mean(blocks, name, index) for name in _GPU_FORMATS}
    parts = [_GPU_FORMATS[name](mean) for name, mean in means.items() if mean is not None]
    parts += [describe_throttling(throttled(blocks, index))]
    text = ", ".join(filter(None, parts))
    return f"GPU {index}, {what}: {text}." if text else None


def describe_throttling(fractions: dict[str, float]) -> str:
    """Return the reasons for reduced clocks with their fractions of the samples; "" if none."""
    if not fractions:
        return ""
    reasons = ", ".join(f"{reason} {fraction:.0%}" for reason, fraction in fractions.items())
    return f"clocks reduced (fraction of samples): {reasons}"
