"""Ratios of every loader to some of them, over blocks of the same rounds, as a Markdown table.

Usage: python ratios.py RESULT REFERENCE…, for example:
python ratios.py out/clothing-32 keras_directory "turbo decode=full"
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from statistics import median

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.analysis.stats import paired_ratio
from feedbench.bench.analysis.summary import counted
from feedbench.bench.record import Trial
from feedbench.bench.report.table import trial_name
from feedbench.bench.trials_file import read_trials

Trials = dict[str, Trial]


def main(folder: Path, references: list[str]) -> None:
    """Print the table, the fastest first; a failed trial has its error, or none if it waited."""
    trials = timed(folder)
    print("|", " | ".join(["", "images/s", *(f"÷ `{one}`" for one in references), "memory"]), "|")
    print("|---" * (len(references) + 3) + "|")
    for name, trial in sorted(trials.items(), key=lambda one: -rate(one[1])):
        ratios = (as_text(ratio(trials, name, one)) for one in references)
        memory = f"{(trial.peak_memory_bytes or 0) / 1e6:,.0f} MB"
        print("|", " | ".join([f"`{name}`", f"{rate(trial):,.0f}", *ratios, memory]), "|")
    for trial in read_trials(folder):
        if trial.error is not None:
            print(f"\n`{trial_name(trial)}` failed: {trial.error}")


def timed(folder: Path) -> Trials:
    """Return the trials of a run that have blocks, without those of a winner alone."""
    return {trial_name(trial): trial for trial in counted(read_trials(folder)) if trial.blocks}


def rate(trial: Trial) -> float:
    """Return the median rate in images per second."""
    return median(trial.rates.values())


def ratio(trials: Trials, name: str, reference: str) -> Estimate | None:
    """Return the ratio of two trials; None if one is missing or they share no round."""
    if name not in trials or reference not in trials:
        return None
    return paired_ratio(trials[name].rates, trials[reference].rates)


def as_text(estimate: Estimate | None) -> str:
    """Return three digits with the interval; a dash for None."""
    if estimate is None:
        return "–"
    return re.sub(r"\.(?=[],\s]|$)", "", f"{estimate:#.3g}")  # 161, not 161.


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
