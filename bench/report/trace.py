"""Waits, steps and meter readings as a trace for Perfetto and chrome://tracing.

Source: "Trace Event Format", the JSON of Chromium's trace viewer; times are microseconds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from feedbench.bench.meters.gpu import throttling
from feedbench.bench.meters.sampling import interval_starts
from feedbench.bench.record import Block, Gpu, Host

Event = dict[str, Any]
_BLOCKS, _BATCHES = 1, 2  # thread numbers in the trace
Series = dict[str, Sequence[float | None]]  # samples by the name of their counter


def trace(trials: Mapping[str, Sequence[Block]]) -> dict[str, Any]:
    """Return a trace in which each trial is a process.

    Blocks of old records have no time of beginning and are placed one after the other.

    Args:
        trials: blocks by the title of their trial.
    """
    known = [block.began for blocks in trials.values() for block in blocks if block.began]
    origin, end = min(known, default=0.0), 0.0
    events: list[Event] = []
    for pid, (title, blocks) in enumerate(trials.items(), 1):
        events += _name_events(pid, title)
        for block in blocks:
            begin = end if block.began is None else block.began - origin
            end = begin + block.seconds
            events += _block_events(pid, block, _us(begin))
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def trace_text(trials: Mapping[str, Sequence[Block]]) -> str:
    """Return the trace as JSON with one event per line."""
    content = trace(trials)
    lines = (json.dumps(event, separators=(",", ":")) for event in content.pop("traceEvents"))
    return json.dumps(content)[:-1] + ', "traceEvents": [\n' + ",\n".join(lines) + "\n]}\n"


def _name_events(pid: int, title: str) -> list[Event]:
    return [
        _name(pid, 0, "process_name", title),
        _name(pid, _BLOCKS, "thread_name", "blocks"),
        _name(pid, _BATCHES, "thread_name", "batches"),
    ]


def _name(pid: int, tid: int, kind: str, name: str) -> Event:
    return {"ph": "M", "pid": pid, "tid": tid, "ts": 0, "name": kind, "args": {"name": name}}


def _block_events(pid: int, block: Block, begin: int) -> list[Event]:
    args = {
        "round": block.round,
        "images": block.images,
        "images per second": round(block.images_per_second, 1),
    }
    whole = _slice(pid, _BLOCKS, f"block {block.round + 1}", begin, _us(block.seconds), args)
    return [whole, *_batch_events(pid, block, begin), *_meter_events(pid, block, begin)]


def _batch_events(pid: int, block: Block, begin: int) -> Iterator[Event]:
    """Yield waits and steps in turn, then the time in which the device finished queued steps."""
    block_end = begin + _us(block.seconds)
    start, elapsed_s = begin, 0.0
    for number, (wait, step) in enumerate(zip(block.wait_s, block.step_s, strict=True), 1):
        for name, seconds in (("wait", wait), ("step", step)):
            elapsed_s += seconds
            # Each begins at the rounded end of the previous one, so that they never overlap.
            end = min(block_end, begin + _us(elapsed_s))
            yield _slice(pid, _BATCHES, name, start, end - start, {"step": number})
            start = end
    if start < block_end:
        yield _slice(pid, _BATCHES, "finish", start, block_end - start, {})


def _slice(
    pid: int, tid: int, name: str, begin: int, duration: int, args: Mapping[str, Any]
) -> Event:
    return {
        "ph": "X",
        "pid": pid,
        "tid": tid,
        "ts": begin,
        "dur": duration,
        "name": name,
        "cat": "feedbench",
        "args": dict(args),
    }


def _meter_events(pid: int, block: Block, begin: int) -> Iterator[Event]:
    for gpu in block.gpus:
        yield from _counters(pid, begin, gpu.at_s, _gpu_series(gpu))
    if block.host is not None:
        yield from _counters(pid, begin, block.host.at_s, _host_series(block.host))


def _counters(pid: int, begin: int, at_s: Sequence[float], series: Series) -> Iterator[Event]:
    """Yield samples as counters that start where the period of the sample starts.

    A counter keeps its value until the next one, while a sample covers the time before it.
    """
    for name, samples in series.items():
        for period_start, sample in zip(interval_starts(at_s), samples, strict=False):
            if sample is not None:
                yield {
                    "ph": "C",
                    "pid": pid,
                    "tid": 0,
                    "ts": begin + _us(period_start),
                    "name": name,
                    "args": {"value": sample},
                }


def _gpu_series(gpu: Gpu) -> Series:
    reasons = [None if bits is None else len(throttling(bits)) for bits in gpu.clock_reasons]
    series: Series = {
        "busy": gpu.utilization,
        "multiprocessors": gpu.multiprocessors,
        "memory bytes": gpu.memory_bytes,
        "power W": gpu.power_w,
        "PCIe from the host, bytes/s": gpu.pcie_rx_bytes_per_s,
        "PCIe to the host, bytes/s": gpu.pcie_tx_bytes_per_s,
        "SM clock MHz": gpu.sm_clock_mhz,
        "memory clock MHz": gpu.memory_clock_mhz,
        "reasons for throttling": reasons,
    }
    return {f"GPU {gpu.index} {name}": samples for name, samples in series.items()}


def _host_series(host: Host) -> Series:
    cores: Series = {f"core {number}": samples for number, samples in sorted(host.cores.items())}
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
