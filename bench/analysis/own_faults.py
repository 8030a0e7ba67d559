"""What makes the batches of a user's function unlike those of other loaders."""

from __future__ import annotations

from typing import Any

from feedbench.bench.record import Own, Trial


def own_faults(trial: Trial) -> list[str]:
    """Return what makes the batches of a user's function unlike those of other loaders."""
    own, size = trial.own, trial.spec.get("batch_size")
    if own is None:
        return []
    faults = {
        f"its batches hold {own.batch_size} images, not {size} as those of other loaders; give "
        f"--batch-size {own.batch_size}, or let it take batch_size": own.batch_size != size
        and own.batch_size is not None,
        **_size_fault(own, trial.spec.get("image_size")),
        f"{own.left_out:,} of {trial.images:,} images did not come in two epochs": own.left_out,
        f"{own.repeated:,} images came more often than once per epoch": own.repeated,
    }
    return [text for text, applies in faults.items() if applies]


def _size_fault(own: Own, side: Any) -> dict[str, bool]:
    if own.image_size is None or side is None:
        return {}
    size = " × ".join(map(str, own.image_size))
    text = f"its images have {size} pixels, not {side} × {side} as those of other loaders; "
    height, width = own.image_size
    remedy = f"give --image-size {height}, or let it take image_size"
    if height != width:
        remedy = "let it take image_size"
    return {text + remedy: (height, width) != (side, side)}
