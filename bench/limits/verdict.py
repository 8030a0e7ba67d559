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
    return f"The fastest loader is {best.loader}: {rate_text(_rate(best))} images/s{_share(best)}."


def _share(one: LoaderShare) -> str:
    """Return what a rate is of its limit, in words; empty if the limit was not measured."""
    if one.share is None:
        return ""
    work, share = limit_text(one.limit), one.share.value
    if share > 1:  # more than it "allows"
        return f", {share:.2f} times the rate of {work}"
    return f", {share:.0%} of what {work} allows"


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
