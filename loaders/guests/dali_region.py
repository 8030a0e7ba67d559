"""Random-resized crops inside a graph of DALI, of the regions that `augment.regions` cuts."""

from __future__ import annotations

from typing import Any

from feedbench.loaders.augment.regions import HIGH, LEFT, LOW, TOP, TRIES


def region_in_graph(shape: Any, crop: Any) -> tuple[Any, Any]:
    """Top and left of a region, and its height and width, int32 `[2]` each.

    Args:
        shape: of the whole image, int32 `[height, width, ...]`.
        crop: the candidates, float32 `[COLUMNS]`.
    """
    from nvidia.dali import fn, math, types

    values = fn.cast(crop, dtype=types.FLOAT64)  # as in NumPy: float32 would round otherwise
    height, width = (fn.cast(shape[axis], dtype=types.FLOAT64) for axis in (0, 1))
    candidates = fn.reshape(values[0 : 2 * TRIES], shape=[TRIES, 2])
    candidates = _rounded(math.sqrt(height * width) * candidates)
    across, down = (fn.cast(candidates[:, axis], dtype=types.FLOAT) for axis in (0, 1))
    fits = (across > 0) & (across <= width) & (down > 0) & (down <= height)
    # Of those that fit, the first has the highest number.
    numbers = fn.cast(fits, dtype=types.FLOAT) * types.Constant(list(range(TRIES, 0, -1)))
    numbers = fn.cast(numbers, dtype=types.FLOAT)
    highest = fn.reductions.max(numbers, axes=[0])
    is_drawn = highest > 0
    chosen = fn.cast(numbers == highest, dtype=types.FLOAT)
    begins, lengths = [], []
    for candidate, within, largest, fraction in (
        (down, height, width / values[LOW], values[TOP]),
        (across, width, height * values[HIGH], values[LEFT]),
    ):
        drawn = fn.reductions.sum(candidate * chosen, axes=[0])
        centred = math.clamp(_rounded(largest), 1.0, within)
        length = _either(is_drawn, drawn, centred)
        room = within - length
        begin = math.min(math.floor(fraction * (room + 1.0)), room)
        begins.append(_either(is_drawn, begin, math.floor(room / 2.0)))
        lengths.append(length)
    return _integers(begins), _integers(lengths)


def _rounded(value: Any) -> Any:
    """To the nearest integer, halves to the even one, as NumPy and TensorFlow round."""
    from nvidia.dali import math

    return math.floor(value / 2.0 + 0.25) + math.ceil(value / 2.0 - 0.25)


def _either(condition: Any, one: Any, other: Any) -> Any:
    """One number where a condition holds, else the other: DALI's graphs have no operator for it."""
    from nvidia.dali import fn, types

    factor = fn.cast(condition, dtype=types.FLOAT64)
    return factor * one + (1.0 - factor) * other


def _integers(values: list[Any]) -> Any:
    from nvidia.dali import fn, types

    return fn.cast(fn.stack(*values), dtype=types.INT32)
