"""The part of each worker in the report of a training on several machines."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from feedbench.bench.html.charts.dots import Dot
from feedbench.bench.html.kinds.cells import GB, MB, Field, dots_chart, number, table_of
from feedbench.bench.html.parts import Part, Section
from feedbench.bench.training.workers_table import Worker, dropped, machine, worker_name


def workers_section(values: dict[str, Any]) -> Iterator[Section]:
    """Yield the section, if several workers trained."""
    if workers := values.get("workers"):
        yield Section("Workers", list(_parts(workers)), "workers")


def _parts(workers: list[Worker]) -> Iterator[Part]:
    shares = {worker_name(one): one["wait_share"] for one in workers}
    rows = [Dot(name, share, f"{share:.1%}") for name, share in shares.items() if share is not None]
    if rows:
        longest = max(rows, key=lambda row: row.value)
        yield dots_chart(
            f"Worker {longest.name} waits longest for batches: {longest.text} of the time",
            "Share of the time in which each worker has no batch; all take each step together.",
            rows,
            "share of the time without a batch",
            zero=True,
            form=".0%",
        )
    yield table_of("Workers", _FIELDS, workers)


_FIELDS: list[Field[Worker]] = [
    Field("worker", worker_name),
    Field("address", lambda worker: worker["address"]),
    Field("images", lambda worker: worker["images"], "that it trained on"),
    Field(
        "images/s",
        lambda worker: number(worker["images_per_second"], ",.1f"),
        "its part of the rate of all",
    ),
    Field(
        "wait",
        lambda worker: number(worker["wait_share"], ".1%"),
        "fraction of the time without a batch",
    ),
    Field("CPU time, s", lambda worker: number(worker["cpu_s"], ",.0f"), "of its processes"),
    Field(
        "memory, GB",
        lambda worker: number(worker["peak_memory_bytes"], scale=GB),
        "peak of its processes",
    ),
    Field(
        "disk read, MB",
        lambda worker: number(worker["disk_read_bytes"], ",.0f", scale=MB),
        "0 if its files were in memory",
    ),
    Field("dropped", lambda worker: dropped(worker) or None, "images that it could not read"),
    Field("machine", machine),
]
