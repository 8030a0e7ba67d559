"""The limits and the loaders' shares of them, as people see them."""

from __future__ import annotations

from rich.table import Table
from rich.text import Text

from feedbench.bench.limits.limits import Limits, Share
from feedbench.bench.report.table import bytes_text, or_dash

_CAPTION = """\
Limits are measured with nothing else to do: JPEGs in memory decoded on all cores, images copied
from memory into batches on all cores, whole files read from the disk. The loaders' batches are
taken by nobody. share: of the limit of what the loader does, in blocks of the same round."""


def limits_table(limits: Limits) -> Table:
    """One row a limit."""
    made = Table(title="this machine, these photographs", title_justify="left")
    made.add_column("limit", overflow="fold", min_width=24)
    for name in ("images/s [95 %]", "bytes/s"):
        made.add_column(name, justify="right")
    for limit in limits.limits:
        moved = limit.bytes_per_second
        made.add_row(
            _named(limit.name, limit.error),
            or_dash(limit.images_per_second, ",.0f"),
            f"{moved / 1e9:.2f} GB" if moved else "–",
        )
    return made


def shares_table(limits: Limits) -> Table:
    """One row a loader, fastest first."""
    made = Table(caption=_CAPTION, caption_justify="left")
    made.add_column("loader and settings", overflow="fold", min_width=24)
    made.add_column("images/s [95 %]", justify="right")
    made.add_column("limit", overflow="fold")
    for name in ("share [95 %]", "memory"):
        made.add_column(name, justify="right")
    for one in sorted(limits.loaders, key=_slowness):
        made.add_row(
            _named(one.loader, one.error),
            or_dash(one.images_per_second, ",.0f"),
            one.limit,
            or_dash(one.share, ".2f"),
            bytes_text(one.peak_memory_bytes or None),
        )
    return made


def _named(name: str, error: str | None) -> Text:
    text = Text(name)
    if error:
        text.append(f"\n{error}", style="red")
    return text


def _slowness(one: Share) -> float:
    return -one.images_per_second.value if one.images_per_second else 1.0
