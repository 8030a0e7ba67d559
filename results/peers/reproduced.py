"""Each library's loader beside the bare loop of the same run, as a Markdown table.

Usage: python reproduced.py RESULT…; a loader reproduces its loop if the interval of their ratio
contains 1, or lies above it. Runs that have not begun are left out.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from ratios import Trials, as_text, rate, ratio, timed

from feedbench.bench.analysis.estimate import Estimate

LOOP = "_loop"
SHARED = ("decoder", "write_mode")  # the settings that a loader and its loop have in common


def pairs(trials: Trials) -> Iterator[tuple[str, str]]:
    """Yield the names of each loader and its loop."""
    for name, one in trials.items():
        for loop, other in trials.items():
            is_loop = other.loader.rpartition(":")[2] == one.loader + LOOP
            if is_loop and all(one.settings.get(key) == other.settings.get(key) for key in SHARED):
                yield name, loop


def said(estimate: Estimate | None) -> str:
    """Return whether a loader is as fast as its loop."""
    if estimate is None or estimate.interval is None:
        return "too few blocks"
    return "no" if estimate.lies_below(1) else "yes"


def main(folders: list[Path]) -> None:
    """Print the table."""
    print("| | images/s | bare loop, images/s | ratio [95 %] | reproduced |\n|---|---|---|---|---|")
    for trials in (timed(folder) for folder in folders if (folder / "trials.jsonl").exists()):
        for name, loop in pairs(trials):
            found = ratio(trials, name, loop)
            rates = [f"{rate(trials[one]):,.0f}" for one in (name, loop)]
            print("|", " | ".join([f"`{name}`", *rates, as_text(found), said(found)]), "|")


if __name__ == "__main__":
    main([Path(folder) for folder in sys.argv[1:]])
