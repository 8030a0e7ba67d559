"""Checks that searches of `tune` take the time that their budget allows, as Markdown.

    python results/tune-budget/keep.py photos/ out/

A search that is in the folder already is not repeated, so the script can be stopped and started
again. Other programs lengthen starts and warm-ups: nothing else should run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

from feedbench.bench.plan.plan import Choice
from feedbench.bench.tune.budget import budget_seconds
from feedbench.bench.tune.record import TUNE

CONSUMERS = ("drain", "emulated:a100")
BUDGETS = ("1m", "2m", "5m")
TOLERANCE = 0.2  # of the budget
TIME = "seconds.json"


@dataclass(frozen=True)
class Search:
    """One search.

    Attributes:
        consumer: what took its batches.
        budget_s: seconds that it was given.
        searched_s: seconds that it says it took, which leave out the scan.
        took_s: seconds of the whole command.
        finished: whether nothing was left to try.
        findings: how many comparisons it made.
        choice: loader and settings; empty if it has chosen none.
    """

    consumer: str
    budget_s: float
    searched_s: float
    took_s: float
    finished: bool
    findings: int
    choice: str

    @property
    def ratio(self) -> float:
        """Time taken ÷ budget."""
        return self.took_s / self.budget_s

    @property
    def kept(self) -> bool:
        """Whether it took its budget, or less because nothing was left to try."""
        return self.ratio <= 1 + TOLERANCE and (self.ratio >= 1 - TOLERANCE or self.finished)


def main() -> None:
    """Run what is missing, and print a line per search."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("out", type=Path)
    parser.add_argument("--budget", nargs="+", default=BUDGETS, help="such as 90s or 5m")
    given = parser.parse_args()
    searches = []
    for consumer in CONSUMERS:
        for budget in given.budget:
            folder = given.out / f"{consumer.replace(':', '-')}-{budget}"
            run(["tune", given.data, "--consumer", consumer, "--budget", budget], folder)
            searches.append(read(folder, consumer, budget))
    print(table(searches))


def run(command: list[str], folder: Path) -> None:
    """Run a command of Feedbench that writes to a folder, and save the seconds that it took."""
    if (folder / TIME).exists():
        return
    begin = monotonic()
    words = [sys.executable, "-m", "feedbench.bench.cli", *command, "--out", str(folder)]
    subprocess.run(words, stdout=subprocess.DEVNULL, check=False)
    if not (folder / TUNE).exists():
        sys.exit(f"{folder}: the search left no {TUNE}; its last line says why")
    (folder / TIME).write_text(json.dumps(monotonic() - begin))


def read(folder: Path, consumer: str, budget: str) -> Search:
    """Return the search in a folder.

    Args:
        budget: as the option takes it.
    """
    record: dict[str, Any] = json.loads((folder / TUNE).read_bytes())
    return Search(
        consumer,
        budget_seconds(budget),
        record["seconds"],
        json.loads((folder / TIME).read_bytes()),
        record["finished"],
        len(record["findings"]),
        str(Choice(**record["best"])) if record["best"] else "",
    )


def table(searches: Sequence[Search]) -> str:
    """Return a line per search."""
    lines = [
        "| consumer | budget | search | whole command | ÷ budget | kept | comparisons | chose |",
        "|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *map(_line, searches)])


def _line(one: Search) -> str:
    kept = ("yes" if one.kept else "no") + ", nothing left to try" * one.finished
    chose = f"`{one.choice}`" if one.choice else "none"
    seconds = f"{one.budget_s:g} s | {one.searched_s:.1f} s | {one.took_s:.1f} s"
    return f"| {one.consumer} | {seconds} | {one.ratio:.2f} | {kept} | {one.findings} | {chose} |"


if __name__ == "__main__":
    main()
