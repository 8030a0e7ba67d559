"""The readings of the meters of a block: cores, disks, GPUs, each with its unit and colour."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

from feedbench.bench.html.charts.colors import ACCENT, GOOD, OTHER, PLAIN
from feedbench.bench.record import Block, Gpu, Host

Track = tuple[Sequence[float], Sequence[float | None]]  # seconds since the block began, values
ReadTrack = Callable[[Block], Track]
# Name, unit, colour, readings, and the least reading that is as high as its lane: without that,
# a disk that reads some bytes would look like one at its limit.
Meter = tuple[str, str, str, ReadTrack, float]


def meters(blocks: Sequence[Block]) -> Iterator[Meter]:
    """Yield what was read of the disks and of each GPU; cores have lanes of their own."""
    yield "read from disks", "MB/s", GOOD, _host("disk_read_bytes_per_s", 1e6), 1.0
    yield "written to disks", "MB/s", OTHER, _host("disk_write_bytes_per_s", 1e6), 1.0
    yield "disk requests in flight", "", PLAIN, _host("disk_queue"), 1.0
    yield "page faults served by the disk", "per second", PLAIN, _host("major_faults_per_s"), 100.0
    for index in sorted({gpu.index for block in blocks for gpu in block.gpus}):
        yield from _gpu_meters(index)


def _gpu_meters(index: int) -> Iterator[Meter]:
    gpu = f"GPU {index}:"
    yield f"{gpu} a kernel running (NVML)", "%", ACCENT, _gpu(index, "utilization", 0.01), 100.0
    in_use = _gpu(index, "multiprocessors", 0.01)
    yield f"{gpu} multiprocessors in use (GPM)", "%", ACCENT, in_use, 100.0
    yield f"{gpu} memory in use", "GB", OTHER, _gpu(index, "memory_bytes", 1e9), 0.0
    yield f"{gpu} power", "W", OTHER, _gpu(index, "power_w"), 0.0
    yield f"{gpu} PCIe from the host", "MB/s", GOOD, _gpu(index, "pcie_rx_bytes_per_s", 1e6), 0.0
    yield f"{gpu} clock", "MHz", PLAIN, _gpu(index, "sm_clock_mhz"), 0.0


def _host(reading: str, unit: float = 1.0) -> ReadTrack:
    def read(block: Block) -> Track:
        host: Host | None = block.host
        return ([], []) if host is None else (host.at_s, _scaled(getattr(host, reading), unit))

    return read


def _gpu(index: int, reading: str, unit: float = 1.0) -> ReadTrack:
    def read(block: Block) -> Track:
        found: Iterable[Gpu] = (gpu for gpu in block.gpus if gpu.index == index and gpu.at_s)
        gpu = next(iter(found), None)  # samples of old records have no times
        return ([], []) if gpu is None else (gpu.at_s, _scaled(getattr(gpu, reading), unit))

    return read


def _scaled(samples: Sequence[float | None], unit: float) -> list[float | None]:
    return [None if sample is None else sample / unit for sample in samples]


def mean_of_cores(cores: Sequence[int]) -> ReadTrack:
    """Return the mean fraction in use of some cores."""

    def read(block: Block) -> Track:
        host = block.host
        if host is None:
            return [], []
        columns = zip(*(host.cores[core] for core in cores if host.cores.get(core)), strict=False)
        return host.at_s, [_mean(values) for values in columns]

    return read


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
