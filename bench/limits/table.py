"""The tables of the limits of a machine and of the fraction that each loader reaches."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from feedbench.bench.limits.limits import Limit, LoaderShare, MachineLimits
from feedbench.bench.report.layout import ALWAYS, EMPTY, Column, build_table, choose_layout
from feedbench.bench.report.table import bytes_text, or_dash

SHARES_NOTE = (
    "Limits: decoding JPEGs from memory on all cores, copying images from memory into batches on "
    "all cores, or reading whole files from the disk, each with nothing else running. Loaders: no "
    "consumer takes time. share: rate ÷ rate of the limit, over blocks of the same round."
)


def _bytes_per_second(limit: Limit) -> str:
    return f"{limit.bytes_per_second / 1e9:.2f} GB" if limit.bytes_per_second else EMPTY


_LIMIT_COLUMNS: tuple[Column[Limit], ...] = (
    Column(
        "images/s\n[95 %]", lambda row: or_dash(row.images_per_second, ",.0f"), importance=ALWAYS
    ),
    Column("bytes/s", _bytes_per_second, importance=ALWAYS),
)
_SHARE_COLUMNS: tuple[Column[LoaderShare], ...] = (
    Column(
        "images/s\n[95 %]", lambda row: or_dash(row.images_per_second, ",.0f"), importance=ALWAYS
    ),
    Column("share\n[95 %]", lambda row: or_dash(row.share, ".2f"), importance=ALWAYS),
    Column("memory", lambda row: bytes_text(row.peak_memory_bytes or None), importance=ALWAYS),
)


def limits_table(limits: MachineLimits, width: int) -> Table:
    """Return one row per limit.

    Args:
        width: of the terminal in characters.
    """
    names = [_with_error(limit.name, limit.error) for limit in limits.limits]
    layout = choose_layout(_LIMIT_COLUMNS, limits.limits, width)
    return build_table(layout, "limit of this machine on these images", names, limits.limits)


def shares_table(limits: MachineLimits, width: int) -> Table:
    """Return one row per loader, fastest first, with its limit below its name.

    Args:
        width: of the terminal in characters.
    """
    rows = sorted(limits.loaders, key=_order)
    names = [_with_error(f"{row.loader}\n  limit: {row.limit}", row.error) for row in rows]
    return build_table(
        choose_layout(_SHARE_COLUMNS, rows, width), "loader and settings", names, rows
    )


def _with_error(name: str, error: str | None) -> Text:
    text = Text(name)
    if error:
        text.append(f"\n{error}", style="red")
    return text


def _order(row: LoaderShare) -> float:
    return -row.images_per_second.value if row.images_per_second else 1.0
