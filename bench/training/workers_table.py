"""The table of the workers of a training on several machines, a row for each part."""

from __future__ import annotations

from typing import Any

from feedbench.bench.quantities import quantity
from feedbench.bench.report.document import RATE, Column, TableData, only_csv, words
from feedbench.bench.report.table import sizes
from feedbench.loaders import printable

Worker = dict[str, Any]  # of `workers` in training.json


def workers_table(workers: list[Worker]) -> TableData[Worker]:
    """Return one row per worker, the chief first."""
    return TableData(
        name="workers",
        title="Workers",
        columns=[
            words("worker", "worker", lambda row: row["worker"], text=worker_name),
            words("address", "address", lambda row: printable(row["address"])),
            Column("images", "images", lambda row: row["images"], "{:,}"),
            Column("images/s", "images_per_second", lambda row: row["images_per_second"], RATE),
            Column(
                "wait",
                "wait_share",
                lambda row: row["wait_share"],
                "{:.0%}",
                meaning="wait: fraction of the time without a batch.",
            ),
            Column("CPU\ntime", "cpu_s", lambda row: row["cpu_s"], "{:,.0f} s", importance=2),
            sizes(
                "memory", "peak_memory_bytes", lambda row: row["peak_memory_bytes"], importance=1
            ),
            sizes(
                "disk\nread", "disk_read_bytes", lambda row: row["disk_read_bytes"], importance=0
            ),
            Column("dropped", "images_dropped", dropped, _dropped_text),
            words("machine", "machine", machine, importance=0),
            only_csv("train_s", lambda row: sum(epoch["train_s"] for epoch in row["epochs"])),
        ],
        rows=workers,
    )


def worker_name(worker: Worker) -> str:
    """Return the number of a worker, and which is the chief."""
    return "0 (chief)" if worker["worker"] == 0 else str(worker["worker"])


def dropped(worker: Worker) -> int:
    """Return how many images a worker could not read."""
    return len(worker["dropped"])


def _dropped_text(worker: Worker) -> str:
    return f"{dropped(worker):,}" if dropped(worker) else ""


def machine(worker: Worker) -> str:
    """Return the machine of a worker, such as `2 cores of AMD EPYC`, with its GPUs."""
    facts = worker["machine"]
    parts = [f"{quantity(facts['cores'], 'core')} of {facts['processor']}", *facts["gpus"]]
    return printable(", ".join(parts))
