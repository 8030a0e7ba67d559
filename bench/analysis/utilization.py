"""What the meters saw over blocks, in figures and words, and whom to believe: pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from feedbench.bench.meters.gpu import throttling
from feedbench.bench.record import Block, Host, present

BUSY = 0.90  # of the time, by NVML, from which a GPU that waits is a contradiction
WAITING = 0.10  # of the time, from which waiting is no noise


def utilization_conflict(
    wait_share: float, stall: float | None, busy: float | None, multiprocessors: float | None
) -> str | None:
    """One sentence or two where NVML says busy and the consumer waited; None where they agree.

    A wait alone proves nothing: the host is up to two steps ahead of the device, which may work
    on meanwhile. The rate lost against batches that cost nothing decides.

    Args:
        wait_share: of the time, without a batch.
        stall: share of the rate with synthetic batches that is lost; None if not measured.
        busy: share of the time with a kernel running, by NVML; None without a GPU.
        multiprocessors: share in use, by GPM; None without it.
    """
    if busy is None or busy < BUSY or wait_share < WAITING:
        return None
    clash = (
        f"NVML says that the GPU was busy {busy:.0%} of the time, "
        f"yet the consumer waited for batches {wait_share:.0%} of it"
    )
    counts = (
        "NVML counts the time in which any kernel of any process ran, however little of the GPU "
        f"it used{_seen(multiprocessors)}."
    )
    if stall is None:
        return f"{clash}: the rate with synthetic batches would tell which to believe. {counts}"
    if stall < WAITING:
        return (
            f"{clash}: believe NVML. Only {max(0.0, stall):.0%} of the rate with synthetic batches "
            "is lost, so the GPU still had steps to do while the consumer waited."
        )
    return (
        f"{clash}: believe the wait. {stall:.0%} of the rate with synthetic batches is lost. "
        f"{counts}"
    )


def _seen(multiprocessors: float | None) -> str:
    if multiprocessors is None:
        return ""
    return f"; GPM saw {multiprocessors:.0%} of the multiprocessors in use"


def gpu_mean(blocks: Iterable[Block], reading: str, index: int | None = None) -> float | None:
    """Of a field of `Gpu`, over all blocks and one GPU or all; None where it was never told."""
    gpus = [gpu for block in blocks for gpu in block.gpus if index in (None, gpu.index)]
    return _mean(sample for gpu in gpus for sample in present(getattr(gpu, reading)))


def host_mean(blocks: Iterable[Block], reading: str) -> float | None:
    """Of a field of `Host`, over all blocks; None where it was never told."""
    hosts = [block.host for block in blocks if block.host]
    return _mean(sample for host in hosts for sample in present(getattr(host, reading)))


def cores_in_use(blocks: Iterable[Block]) -> float | None:
    """How many of the machine's cores were, whoever used them; None where it is not told."""
    hosts = [block.host for block in blocks if block.host and block.host.cores]
    return _mean(used for host in hosts for used in cores_at(host))


def cores_at(host: Host) -> list[float]:
    """Cores in use at each sample."""
    return [sum(present(shares)) for shares in zip(*host.cores.values(), strict=True)]


def throttled(blocks: Iterable[Block], index: int | None = None) -> dict[str, float]:
    """Share of the samples in which clocks were held down, by reason."""
    gpus = [gpu for block in blocks for gpu in block.gpus if index in (None, gpu.index)]
    samples = [int(bits) for gpu in gpus for bits in present(gpu.clock_reasons)]
    found = [reason for bits in samples for reason in throttling(bits)]
    return {reason: found.count(reason) / len(samples) for reason in dict.fromkeys(found)}


def _mean(samples: Iterable[float]) -> float | None:
    kept = list(samples)
    return sum(kept) / len(kept) if kept else None


def describe_host(blocks: list[Block]) -> str | None:
    """What the whole machine did, in one sentence; None where nothing is told."""
    read, queue = host_mean(blocks, "disk_read_bytes_per_s"), host_mean(blocks, "disk_queue")
    minor, major = host_mean(blocks, "minor_faults_per_s"), host_mean(blocks, "major_faults_per_s")
    used, cores = cores_in_use(blocks), {len(block.host.cores) for block in blocks if block.host}
    parts = [
        f"{used:.1f} of {max(cores)} cores in use" if used is not None else "",
        f"{read / 1e6:,.0f} MB/s read from disks" if read is not None else "",
        f"{queue:.1f} requests in flight at them" if queue is not None else "",
        f"{minor:,.0f} page faults a second" if minor is not None else "",
        f"{major:,.1f} more that waited for a disk" if major is not None else "",
    ]
    said = ", ".join(filter(None, parts))
    return f"The whole machine, others' work too: {said}." if said else None


def describe_gpus(blocks: list[Block]) -> list[str]:
    """What each GPU did, a sentence each."""
    indexes = sorted({gpu.index for block in blocks for gpu in block.gpus})
    return [said for index in indexes if (said := _one_gpu(blocks, index))]


_GPU_WORDS: dict[str, Callable[[float], str]] = {
    "utilization": lambda share: f"a kernel running {share:.0%} of the time (NVML)",
    "multiprocessors": lambda share: f"{share:.0%} of the multiprocessors in use (GPM)",
    "power_w": lambda watts: f"{watts:,.0f} W",
    "pcie_rx_bytes_per_s": lambda rate: f"{rate / 1e6:,.0f} MB/s from the host",
    "sm_clock_mhz": lambda clock: f"clocks of {clock:,.0f} MHz",
}


def _one_gpu(blocks: list[Block], index: int) -> str | None:
    means = {name: gpu_mean(blocks, name, index) for name in _GPU_WORDS}
    parts = [_GPU_WORDS[name](mean) for name, mean in means.items() if mean is not None]
    parts += [describe_throttling(throttled(blocks, index))]
    said = ", ".join(filter(None, parts))
    return f"GPU {index}: {said}." if said else None


def describe_throttling(shares: dict[str, float]) -> str:
    """Empty where nothing held the clocks down."""
    if not shares:
        return ""
    named = ", ".join(f"{reason} {share:.0%}" for reason, share in shares.items())
    return f"clocks held down in these shares of the samples: {named}"
