"""Blocks as a trace that Perfetto and chrome://tracing open: waits, steps, and every meter.

Source: "Trace Event Format", the JSON of Chromium's trace viewer; its times are microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from feedbench.bench.meters.gpu import throttling
from feedbench.bench.meters.sampling import interval_starts
from feedbench.bench.record import Block, Gpu, Host

Event = dict[str, Any]
_BLOCKS, _BATCHES = 1, 2  # threads of the trace


def trace(trials: Mapping[str, Sequence[Block]]) -> dict[str, Any]:
    """The whole trace; each title is a process in it.

    Blocks lie where they were in time. Those of records that do not say when they began lie one
    after the other.
    """
    known = [block.began for blocks in trials.values() for block in blocks if block.began]
    origin, end = min(known, default=0.0), 0.0
    events: list[Event] = []
    for pid, (title, blocks) in enumerate(trials.items(), 1):
        events += _names(pid, title)
        for block in blocks:
            begin = end if block.began is None else block.began - origin
            end = begin + block.seconds
            events += _block(pid, block, _us(begin))
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def trace_text(trials: Mapping[str, Sequence[Block]]) -> str:
    """The trace as JSON, one event a line."""
    made = trace(trials)
    lines = (json.dumps(event, separators=(",", ":")) for event in made.pop("traceEvents"))
    return json.dumps(made)[:-1] + ', "traceEvents": [\n' + ",\n".join(lines) + "\n]}\n"


def _names(pid: int, title: str) -> list[Event]:
    named = {"process_name": (0, title), "thread_name": (_BLOCKS, "blocks")}
    events = [_name(pid, tid, kind, name) for kind, (tid, name) in named.items()]
    return [*events, _name(pid, _BATCHES, "thread_name", "batches")]


def _name(pid: int, tid: int, kind: str, name: str) -> Event:
    return {"ph": "M", "pid": pid, "tid": tid, "ts": 0, "name": kind, "args": {"name": name}}


def _block(pid: int, block: Block, begin: int) -> list[Event]:
    about = {
        "round": block.round,
        "images": block.images,
        "images per second": round(block.images_per_second, 1),
    }
    whole = _slice(pid, _BLOCKS, f"block {block.round + 1}", begin, _us(block.seconds), about)
    return [whole, *_batches(pid, block, begin), *_counters(pid, block, begin)]


def _batches(pid: int, block: Block, begin: int) -> Iterator[Event]:
    """Waits and steps one after the other, then what the device still had to do."""
    end = begin + _us(block.seconds)
    at, exact = begin, 0.0
    for number, (wait, step) in enumerate(zip(block.wait_s, block.step_s, strict=True), 1):
        for name, seconds in (("wait", wait), ("step", step)):
            exact += seconds
            # Each begins where the one before ended: rounding never lets two overlap.
            until = min(end, begin + _us(exact))
            yield _slice(pid, _BATCHES, name, at, until - at, {"step": number})
            at = until
    if at < end:
        yield _slice(pid, _BATCHES, "finish", at, end - at, {})


def _slice(pid: int, tid: int, name: str, begin: int, took: int, about: Mapping[str, Any]) -> Event:
    return {
        "ph": "X",
        "pid": pid,
        "tid": tid,
        "ts": begin,
        "dur": took,
        "name": name,
        "cat": "feedbench",
        "args": dict(about),
    }


def _counters(pid: int, block: Block, begin: int) -> Iterator[Event]:
    for gpu in block.gpus:
        yield from _counted(pid, begin, gpu.at_s, _gpu(gpu))
    if block.host is not None:
        yield from _counted(pid, begin, block.host.at_s, _host(block.host))


Series = dict[str, Sequence[float | None]]


def _counted(pid: int, begin: int, at_s: Sequence[float], series: Series) -> Iterator[Event]:
    """A counter holds from its time on, and a sample tells of the time before it."""
    for name, samples in series.items():
        for since, sample in zip(interval_starts(at_s), samples, strict=False):
            if sample is not None:
                yield {
                    "ph": "C",
                    "pid": pid,
                    "tid": 0,
                    "ts": begin + _us(since),
                    "name": name,
                    "args": {"value": sample},
                }


def _gpu(gpu: Gpu) -> Series:
    held = [None if bits is None else len(throttling(bits)) for bits in gpu.clock_reasons]
    named: Series = {
        "busy": gpu.utilization,
        "multiprocessors": gpu.multiprocessors,
        "memory bytes": gpu.memory_bytes,
        "power W": gpu.power_w,
        "PCIe to it, bytes/s": gpu.pcie_rx_bytes_per_s,
        "PCIe from it, bytes/s": gpu.pcie_tx_bytes_per_s,
        "SM clock MHz": gpu.sm_clock_mhz,
        "memory clock MHz": gpu.memory_clock_mhz,
        "reasons for throttling": held,
    }
    return {f"GPU {gpu.index} {name}": samples for name, samples in named.items()}


def _host(host: Host) -> Series:
    cores: Series = {f"core {number}": shares for number, shares in sorted(host.cores.items())}
    return {
        **cores,
        "disk read bytes/s": host.disk_read_bytes_per_s,
        "disk write bytes/s": host.disk_write_bytes_per_s,
        "disk queue": host.disk_queue,
        "minor page faults/s": host.minor_faults_per_s,
        "major page faults/s": host.major_faults_per_s,
    }


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
