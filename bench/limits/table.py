"""What `limits` prints: the limits of a machine, and the fraction that each loader reaches."""

from __future__ import annotations

from collections.abc import Iterator

from rich.text import Text

from feedbench.bench.analysis.contention import busy_warning
from feedbench.bench.limits.limits import Limit, LoaderShare, MachineLimits
from feedbench.bench.limits.scaling_table import scaling_parts
from feedbench.bench.limits.verdict import verdict
from feedbench.bench.record import Trial
from feedbench.bench.report.document import (
    RATE,
    Column,
    Line,
    Part,
    TableData,
    estimates,
    only_csv,
    words,
)
from feedbench.bench.report.summary_text import headline
from feedbench.bench.report.table import sizes

SHARES_NOTE = (
    "Limits: decoding JPEGs from memory on all cores, copying images from memory into batches on "
    "all cores, or reading whole files from the disk or object storage, each with nothing else "
    "running. Loaders: no consumer takes time. share: rate ÷ rate of the limit, over blocks of the "
    "same round."
)


ABOVE_NOTE = (
    "A share above 1: that loader does less work than the measurement of its limit. It resizes "
    "rows while it decodes them instead of writing whole images to memory, decodes only a part of "
    "each image, or smaller ones that it has prepared, as ffcv does with write_mode=jpg."
)


def above_note(limits: MachineLimits) -> str:
    """Return what a share means that is certainly above 1; empty if there is none."""
    return (
        ABOVE_NOTE if any(one.share and one.share.lies_above(1) for one in limits.loaders) else ""
    )


def parts(trials: list[Trial], limits: MachineLimits) -> Iterator[Part]:
    """Yield what is printed.

    Args:
        trials: empty if only the limits were saved.
    """
    if trials:
        yield Line(headline(trials))
    yield shares_table(limits)
    for traceback in dict.fromkeys(filter(None, (trial.traceback for trial in trials))):
        yield Line(traceback, form="code")
    yield limits_table(limits)
    yield from scaling_parts(limits.scaling)
    yield from (Line(text, "yellow") for text in busy_warning(trials))
    yield Line(verdict(limits), "bold")


def limits_table(limits: MachineLimits) -> TableData[Limit]:
    """Return one row per limit."""
    return TableData(
        name="limits",
        columns=[
            words(
                "limit of this machine on these images",
                "limit",
                lambda row: row.name,
                text=lambda row: _with_error(row.name, row.error),
            ),
            estimates("images/s", "images_per_second", lambda row: row.images_per_second, RATE),
            Column(
                "bytes/s",
                "bytes_per_second",
                lambda row: row.bytes_per_second,
                lambda row: f"{row.bytes_per_second / 1e9:.2f} GB" if row.bytes_per_second else "",
            ),
            only_csv("error", lambda row: row.error),
        ],
        rows=limits.limits,
        notes=[*filter(None, (SHARES_NOTE, above_note(limits)))],
    )


def shares_table(limits: MachineLimits) -> TableData[LoaderShare]:
    """Return one row per loader, fastest first, with its limit below its name."""
    return TableData(
        name="loaders",
        columns=[
            words(
                "loader and settings",
                "loader",
                lambda row: row.loader,
                text=lambda row: _with_error(f"{row.loader}\n  limit: {row.limit}", row.error),
            ),
            only_csv("limit", lambda row: row.limit),
            estimates("images/s", "images_per_second", lambda row: row.images_per_second, RATE),
            estimates("share", "share", lambda row: row.share, "{:.2f}"),
            sizes("memory", "peak_memory_bytes", lambda row: row.peak_memory_bytes or None),
            only_csv("error", lambda row: row.error),
        ],
        rows=sorted(limits.loaders, key=_order),
    )


def _with_error(name: str, error: str | None) -> Text:
    text = Text(name)
    if error:
        text.append(f"\n{error}", style="red")
    return text


def _order(row: LoaderShare) -> float:
    return -row.images_per_second.value if row.images_per_second else 1.0
