"""Prints limits, and the loaders' shares of them, as tables."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from feedbench.bench.limits.limits import LoaderShare, MachineLimits
from feedbench.bench.report.table import bytes_text, or_dash

_CAPTION = """\
Each limit is measured alone: decoding JPEGs from memory on all cores, copying images in memory into
batches on all cores, and reading whole files from the disk. The loaders' batches are discarded.
share: the loader's rate divided by its limit's, in blocks of the same round."""


def limits_table(limits: MachineLimits) -> Table:
    """Return a table with one row per limit."""
    table = Table(title="limits of this machine for these images", title_justify="left")
    table.add_column("limit", overflow="fold", min_width=24)
    for name in ("images/s [95 %]", "bytes/s"):
        table.add_column(name, justify="right")
    for limit in limits.limits:
        speed = limit.bytes_per_second
        table.add_row(
            _name(limit.name, limit.error),
            or_dash(limit.images_per_second, ",.0f"),
            f"{speed / 1e9:.2f} GB" if speed else "–",
        )
    return table


def shares_table(limits: MachineLimits) -> Table:
    """Return a table with one row per loader, fastest first."""
    table = Table(caption=_CAPTION, caption_justify="left")
    table.add_column("loader and settings", overflow="fold", min_width=24)
    table.add_column("images/s [95 %]", justify="right")
    table.add_column("limit", overflow="fold")
    for name in ("share [95 %]", "memory"):
        table.add_column(name, justify="right")
    for loader in sorted(limits.loaders, key=_slowness):
        table.add_row(
            _name(loader.loader, loader.error),
            or_dash(loader.images_per_second, ",.0f"),
            loader.limit,
            or_dash(loader.share, ".2f"),
            bytes_text(loader.peak_memory_bytes or None),
        )
    return table


def _name(name: str, error: str | None) -> Text:
    text = Text(name)
    if error:
        text.append(f"\n{error}", style="red")
    return text


def _slowness(loader: LoaderShare) -> float:
    return -loader.images_per_second.value if loader.images_per_second else 1.0
