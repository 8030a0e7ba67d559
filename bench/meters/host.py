"""What the whole machine does, from /proc: cores in use, disks and their queue, page faults."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import NamedTuple, Self

from feedbench.bench.meters.sampling import Figures, Sample, Sampler, during
from feedbench.bench.record import Host, TimedBlock

PERIOD_S = 0.2  # processor time is counted in ticks of 10 ms: 20 of them a sample
_SECTOR = 512  # bytes in /proc/diskstats, whatever the disk's own
_IDLE = slice(3, 5)  # of a core's ticks: idle, and waiting for a disk
_USED_AND_IDLE = slice(0, 8)  # guests' ticks, which follow, are in user's already


class Ticks(NamedTuple):
    """Of one core since the machine started; `of` is all of them."""

    used: int
    of: int


class Counters(NamedTuple):
    """What the system has counted since it started; what it does not tell is empty.

    Attributes:
        cores: by number.
        totals: bytes, milliseconds or faults, under the name of the rate that they become.
    """

    at: float
    cores: dict[int, Ticks]
    totals: dict[str, float]


class HostMeter:
    """Samples the machine on a thread of its own, inside a `with`."""

    def __init__(self, period_s: float = PERIOD_S) -> None:
        self._period_s = period_s
        self._before = read_counters()
        self._samples: list[Sample] = []
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._before = read_counters()
        self._open.enter_context(Sampler(self.sample, self._period_s))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def sample(self) -> None:
        """Read the machine once, for the time since the last reading."""
        latest = read_counters()
        self._samples.append(Sample(latest.at, rates(self._before, latest)))
        self._before = latest

    def readings(self, block: TimedBlock) -> Host | None:
        """Raw samples in a block that says when it began; None where the system tells nothing."""
        assert block.began is not None
        told = during(self._samples, block.began, block.seconds, self._period_s)
        if told is None:
            return None
        cores = {name: values for name, values in told.readings.items() if isinstance(name, int)}
        named = {name: values for name, values in told.readings.items() if isinstance(name, str)}
        return Host.model_validate({"at_s": told.at_s, "cores": cores, **named})


def rates(before: Counters, latest: Counters) -> Figures:
    """Shares and rates between two readings; one that either lacks is left out."""
    seconds = latest.at - before.at
    figures: Figures = {}
    for core in latest.cores.keys() & before.cores.keys():
        ticks = latest.cores[core].of - before.cores[core].of
        used = latest.cores[core].used - before.cores[core].used
        if ticks > 0:
            figures[core] = round(min(1.0, max(0.0, used / ticks)), 2)
    for name in latest.totals.keys() & before.totals.keys():
        rate = (latest.totals[name] - before.totals[name]) / seconds
        figures[name] = round(rate, 2) if name == "disk_queue" else round(rate)
    return dict(sorted(figures.items(), key=lambda item: str(item[0])))


def read_counters() -> Counters:
    """All of them, now."""
    return Counters(perf_counter(), _cores(), {**_disks(), **_faults()})


def _lines(path: str) -> list[list[str]]:
    with suppress(OSError):
        return [line.split() for line in Path(path).read_text().splitlines()]
    return []


def _cores() -> dict[int, Ticks]:
    """Of each core that is switched on. Source: proc_stat(5)."""
    found = {}
    for name, *ticks in filter(None, _lines("/proc/stat")):
        if name.startswith("cpu") and name != "cpu":
            counted = [int(tick) for tick in ticks[_USED_AND_IDLE]]
            found[int(name[3:])] = Ticks(sum(counted) - sum(counted[_IDLE]), sum(counted))
    return found


def _disks() -> dict[str, float]:
    """Sums over all whole disks. Source: iostats.rst of the Linux kernel.

    Milliseconds in flight, summed over requests: a second of them in a second is one request.
    """
    disks = [fields for fields in _lines("/proc/diskstats") if _is_disk(fields[2])]
    if not disks:
        return {}
    return {
        "disk_read_bytes_per_s": sum(int(fields[5]) for fields in disks) * _SECTOR,
        "disk_write_bytes_per_s": sum(int(fields[9]) for fields in disks) * _SECTOR,
        "disk_queue": sum(int(fields[13]) for fields in disks) / 1_000,
    }


def _is_disk(name: str) -> bool:
    """Not a partition, nor a loop, RAM or stacked device, whose bytes would count twice."""
    return Path(f"/sys/block/{name}/device").exists()


def _faults() -> dict[str, float]:
    """Page faults; a major one waited for a disk. Source: `pgfault` counts both kinds."""
    found = {fields[0]: int(fields[1]) for fields in _lines("/proc/vmstat") if len(fields) == 2}
    if "pgfault" not in found or "pgmajfault" not in found:
        return {}
    major = found["pgmajfault"]
    return {
        "minor_faults_per_s": found["pgfault"] - major,
        "major_faults_per_s": major,
    }
