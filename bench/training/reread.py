"""What a resumed training says before it waits for a loader that cannot begin in the middle."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feedbench.loaders import find_loader

if TYPE_CHECKING:
    from feedbench.trainer import Position


def reread_notes(loader: str, position: Position) -> list[str]:
    """Return what is read again before the first step, and how long that takes at most.

    The batches before the position are asked for once more, and dropped: a library's own shuffle or
    a user's function that takes no `start_step` gives the rest of its order only after them.
    """
    found = find_loader(loader)
    can_start_later = found.own is not None and found.own.can_start_later
    if not position.images or found.follows_order or can_start_later:
        return []
    seconds = position.train_s + sum(epoch.train_s for epoch in position.history)
    return [
        f"{loader} has its own order: to continue it, the {position.images:,} images that were "
        f"trained on are read again first; that takes at most the {_text(seconds)} of their "
        "training"
    ]


def _text(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes / 60:.1f} h"
