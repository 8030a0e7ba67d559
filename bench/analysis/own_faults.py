"""What makes the batches of a trial unlike those of other loaders."""

from __future__ import annotations

from typing import Any

from feedbench.bench.quantities import quantity
from feedbench.bench.record import Own, Trial


def own_faults(trial: Trial) -> list[str]:
    """Return what makes the batches of a trial unlike those of other loaders."""
    if trial.own is None:
        return _not_once(trial)
    own, size = trial.own, trial.spec.get("batch_size")
    faults = {
        f"its batches hold {own.batch_size} images, not {size} as those of other loaders; give "
        f"--batch-size {own.batch_size}, or let it take batch_size": own.batch_size != size
        and own.batch_size is not None,
        **_size_fault(own, trial.spec.get("image_size")),
        **_counts(trial, own.left_out, own.repeated),
    }
    return [text for text, applies in faults.items() if applies]


def _not_once(trial: Trial) -> list[str]:
    """Return why rows do not come once per epoch, how many did not, and what was made up for."""
    faults = {} if trial.why_not_once is None else {trial.why_not_once: True}
    if trial.coverage is not None:
        faults |= _counts(trial, trial.coverage.left_out, trial.coverage.repeated)
    lost = [] if trial.losses is None else trial.losses.sentences()
    return [*(text for text, applies in faults.items() if applies), *lost]


def _counts(trial: Trial, left_out: int, repeated: int) -> dict[str, bool]:
    return {
        f"{left_out:,} of {trial.images:,} images did not come in two epochs": left_out > 0,
        f"{quantity(repeated, 'image')} came more often than once per epoch": repeated > 0,
    }


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
