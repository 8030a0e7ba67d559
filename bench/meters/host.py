"""Meters the machine from /proc: the cores that may be used, disks and their queue, page faults."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from time import perf_counter
from typing import NamedTuple, Self

from feedbench.bench.meters.sampling import Readings, Sample, Sampler, samples_during
from feedbench.bench.record import Host, TimedBlock

PERIOD_S = 0.2  # CPU time is counted in ticks of 10 ms: 20 ticks per sample
_SECTOR = 512  # bytes in /proc/diskstats, whatever the disk's sector size
_IDLE = slice(3, 5)  # columns of idle and iowait
_ALL = slice(0, 8)  # the columns that follow, of guests, are included in user and nice


class Ticks(NamedTuple):
    """Clock ticks of one core since boot."""

    busy: int
    total: int


class Counters(NamedTuple):
    """Counters of the system since boot; what it does not report is empty.

    Attributes:
        at: time of the reading, seconds of `perf_counter`.
        cores: ticks by number of the core.
        totals: bytes, seconds or faults, by the name of the rate that is derived from them.
    """

    at: float
    cores: dict[int, Ticks]
    totals: dict[str, float]


class HostMeter:
    """Samples the machine on its own thread, inside a `with` block."""

    def __init__(
        self, period_s: float = PERIOD_S, is_needed: Callable[[], bool] = lambda: True
    ) -> None:
        self._period_s = period_s
        self._is_needed = is_needed
        self._before = read_counters()
        self._samples: list[Sample] = []
        self._open = ExitStack()

    def __enter__(self) -> Self:
        self._before = read_counters()
        self._open.enter_context(Sampler(self.sample, self._period_s, self._is_needed))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def sample(self) -> None:
        """Add a sample for the time since the previous one."""
        latest = read_counters()
        self._samples.append(Sample(latest.at, rates(self._before, latest)))
        self._before = latest

    def readings(self, block: TimedBlock) -> Host | None:
        """Return the raw samples during a block whose start is known; None if there are none."""
        assert block.began is not None
        columns = samples_during(self._samples, block.began, block.seconds, self._period_s)
        if columns is None:
            return None
        readings = columns.readings.items()
        cores = {name: values for name, values in readings if isinstance(name, int)}
        others = {name: values for name, values in readings if isinstance(name, str)}
        return Host.model_validate({"at_s": columns.at_s, "cores": cores, **others})


def rates(before: Counters, latest: Counters) -> Readings:
    """Return core utilizations (0 to 1) and rates per second between two readings.

    Counters that either reading lacks are left out.
    """
    seconds = latest.at - before.at
    readings: Readings = {}
    for core in latest.cores.keys() & before.cores.keys():
        ticks = latest.cores[core].total - before.cores[core].total
        busy = latest.cores[core].busy - before.cores[core].busy
        if ticks > 0:
            readings[core] = round(min(1.0, max(0.0, busy / ticks)), 2)
    for name in latest.totals.keys() & before.totals.keys():
        rate = (latest.totals[name] - before.totals[name]) / seconds
        readings[name] = round(rate, 2) if name == "disk_queue" else round(rate)
    return dict(sorted(readings.items(), key=lambda item: str(item[0])))


def read_counters() -> Counters:
    """Read all counters now."""
    return Counters(perf_counter(), _cores(), {**_disks(), **_faults()})


def _lines(path: str) -> list[list[str]]:
    with suppress(OSError):
        return [line.split() for line in Path(path).read_text().splitlines()]
    return []


def _cores() -> dict[int, Ticks]:
    """Return the ticks of each core that this process may use. Source: proc_stat(5).

    On others, as of a node that jobs share, programs run that take nothing from it.
    """
    cores, usable = {}, os.sched_getaffinity(0)
    for name, *ticks in filter(None, _lines("/proc/stat")):
        if name.startswith("cpu") and name != "cpu" and int(name[3:]) in usable:
            counts = [int(count) for count in ticks[_ALL]]
            cores[int(name[3:])] = Ticks(sum(counts) - sum(counts[_IDLE]), sum(counts))
    return cores


def _disks() -> dict[str, float]:
    """Return sums over all disks. Source: iostats.rst of the Linux kernel.

    `disk_queue` is the time in flight summed over requests, so its rate is the mean queue length.
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
    """Whether a device is a disk.

    Partitions and loop, RAM or stacked devices are not: their bytes would count twice.
    """
    return Path(f"/sys/block/{name}/device").exists()


def _faults() -> dict[str, float]:
    """Return page faults; major ones waited for a disk, and `pgfault` counts both kinds."""
    counts = {fields[0]: int(fields[1]) for fields in _lines("/proc/vmstat") if len(fields) == 2}
    if "pgfault" not in counts or "pgmajfault" not in counts:
        return {}
    major = counts["pgmajfault"]
    return {
        "minor_faults_per_s": counts["pgfault"] - major,
        "major_faults_per_s": major,
    }
