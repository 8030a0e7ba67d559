"""The limits of a machine in one sentence."""

from __future__ import annotations

from feedbench.bench.analysis.estimate import rate_text
from feedbench.bench.limits.limits import LoaderShare, MachineLimits
from feedbench.bench.trials.internal_loaders import LIBJPEG_TURBO, MEMORY_COPY


def verdict(limits: MachineLimits) -> str:
    """Return which loader is fastest, and how much of its limit it reaches."""
    best = fastest(limits)
    if best is None:
        return "No loader could be measured."
    allows = f"what {limit_text(best.limit)} allows"
    share = f", {best.share.value:.0%} of {allows}" if best.share else ""
    return f"The fastest loader is {best.loader}: {rate_text(_rate(best))} images/s{share}."


def fastest(limits: MachineLimits) -> LoaderShare | None:
    """Return the fastest loader; None if none was timed."""
    timed = [one for one in limits.loaders if one.images_per_second]
    return max(timed, key=_rate, default=None)


def limit_text(limit: str) -> str:
    """Return the work that a limit measures, in words.

    Args:
        limit: its name, such as `libjpeg_turbo decode=full`.
    """
    name, _, settings = limit.partition(" ")
    if name == MEMORY_COPY.name:
        return "copying images from memory"
    if name == LIBJPEG_TURBO.name:
        packed = "the JPEGs of a pack " if "pack=" in settings else ""
        scaled = "at a reduced size " if "decode=scaled" in settings else ""
        return f"decoding {packed}{scaled}on all cores"
    return limit


def _rate(one: LoaderShare) -> float:
    return one.images_per_second.value if one.images_per_second else 0.0
