"""Ratios of every loader to some of them, over blocks of the same rounds, as a Markdown table.

Usage: python ratios.py RESULT REFERENCE…, for example: ratios.py clothing keras_directory turbo
"""

from __future__ import annotations

import sys
from pathlib import Path
from statistics import median

from feedbench.bench.analysis.stats import paired_ratio
from feedbench.bench.record import Trial
from feedbench.bench.report.table import trial_name
from feedbench.bench.trials_file import read_trials


def main(folder: Path, references: list[str]) -> None:
    """Print the table, the fastest first."""
    trials = sorted(read_trials(folder), key=_rate, reverse=True)
    named = {trial_name(trial): trial for trial in trials}
    print("|", " | ".join(["", "images/s", *references, "memory"]), "|")
    print("|---" * (len(references) + 3) + "|")
    for name, trial in named.items():
        ratios = (_ratio(trial, named[one]) for one in references)
        memory = f"{(trial.peak_memory_bytes or 0) / 1e6:,.0f} MB"
        print("|", " | ".join([f"`{name}`", f"{_rate(trial):,.0f}", *ratios, memory]), "|")


def _rate(trial: Trial) -> float:
    return median(block.images_per_second for block in trial.blocks)


def _ratio(trial: Trial, reference: Trial) -> str:
    if trial is reference:
        return "1"
    return f"{paired_ratio(_rates(trial), _rates(reference)):#.3g}"


def _rates(trial: Trial) -> dict[int, float]:
    return {block.round: block.images_per_second for block in trial.blocks}


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
