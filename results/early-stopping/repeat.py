"""Repeats a bench that ends early, and compares what it says with long runs of the same trials.

    python results/early-stopping/repeat.py photos/ out/
    python results/early-stopping/repeat.py photos/ out/ --suite results/early-stopping/eight.toml

A run that is in the folder already is not repeated, so that the script can be continued. Other
programs change the order of loaders: nothing else should run.
"""

from __future__ import annotations

import argparse
import json
import math
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import monotonic

from feedbench.bench.analysis.compare import MARGIN
from feedbench.bench.analysis.stats import paired_ratio
from feedbench.bench.analysis.summary import Summary, counted, summarize
from feedbench.bench.record import Trial
from feedbench.bench.trials_file import read_trials

STEPS = Path(__file__).with_name("steps.py")
FILES = (16, 18, 20, 23, 26, 29, 33, 37)  # per batch: each at least a tenth slower than the last
TIME = "seconds.json"


@dataclass(frozen=True)
class Repeat:
    """One bench that could end early, against the long runs.

    Attributes:
        seconds: of the whole command.
        rounds: of the trial that was timed longest, without the blocks of the winner alone.
        winner: loader and settings.
        of_fastest: rate of the winner ÷ rate of the fastest, in the long runs.
        false_slower: trials called slower than the fastest that the long runs find as fast.
        undecided: trials that tie with the fastest, or of which it cannot be told.
        intervals: number of ratios with an interval.
        covered: how many of these contain the ratio of the long runs.
        nearly: how many do so but for `MARGIN`.
        predicted: predicted rate ÷ rate of the winner in the long runs.
    """

    seconds: float
    rounds: int
    winner: str
    of_fastest: float
    false_slower: list[str]
    undecided: int
    intervals: int
    covered: int
    nearly: int
    predicted: float


def main() -> None:
    """Run what is missing, and print the outcome as Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data")
    parser.add_argument("out", type=Path)
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--long-blocks", type=int, default=60)
    parser.add_argument("--suite", type=Path, help="instead of eight trials a tenth apart")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    bench = ["bench", given.data, "--no-tensorboard", *_trials(given.suite)]
    long_bench = [*bench, "--no-early-stopping", "--blocks", str(given.long_blocks)]
    truth = [_run(long_bench, given.out / "long-before", seed=1_000)]
    runs = [_run(bench, given.out / f"run-{seed:02}", seed) for seed in range(given.repeats)]
    truth.append(_run(long_bench, given.out / "long-after", seed=1_001))
    repeats = [_against(*run, [trials for trials, _ in truth]) for run in runs]
    long_s = [seconds for _, seconds in truth]
    values = {"long_seconds": long_s, "repeats": [asdict(repeat) for repeat in repeats]}
    (given.out / "repeats.json").write_text(json.dumps(values, indent=1))
    sys.stdout.write(_table(repeats, long_s))


def _trials(suite: Path | None) -> list[str]:
    """Return the options that choose the trials."""
    if suite is not None:
        return ["--suite", str(suite)]
    files = ",".join(map(str, FILES))
    loader = ["--loader", f"{STEPS}:batches", "--set", f"batches.files={files}"]
    return [*loader, "--consumer", "drain", "--batch-size", "16", "--image-size", "96"]


def _run(command: list[str], folder: Path, seed: int) -> tuple[list[Trial], float]:
    """Return the trials of a bench and the seconds that it took, running it if it is missing."""
    if not (folder / TIME).exists():
        sys.stderr.write(f"{folder}\n")
        begin = monotonic()
        words = [sys.executable, "-m", "feedbench.bench.cli", *command]
        subprocess.run(
            [*words, "--seed", str(seed), "--out", str(folder)],
            check=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        (folder / TIME).write_text(json.dumps(monotonic() - begin))
    return read_trials(folder), json.loads((folder / TIME).read_text())


def _against(trials: list[Trial], seconds: float, long_runs: list[list[Trial]]) -> Repeat:
    summary = summarize(trials)
    assert summary.winner is not None
    assert summary.predicted is not None
    fastest = _fastest(summary)
    ratios = [_long_ratio(index, fastest, long_runs) for index in range(len(trials))]
    intervals = [
        (one.ratio_to_best.interval, ratio)
        for index, (one, ratio) in enumerate(zip(summary.trials, ratios, strict=True))
        if index != fastest and one.ratio_to_best and one.ratio_to_best.interval
    ]
    named = [f"{one.loader} {one.settings}" for one in summary.trials]
    rates = [_long_rate(summary.winner, long_run) for long_run in long_runs]
    return Repeat(
        seconds=round(seconds, 1),
        rounds=max(one.blocks for one in summary.trials),
        winner=named[summary.winner],
        of_fastest=ratios[summary.winner] / max(ratios),
        false_slower=[
            name
            for name, one, ratio in zip(named, summary.trials, ratios, strict=True)
            if one.ranked and not one.tied_with_best and not one.undecided and ratio > 1 - MARGIN
        ],
        undecided=sum(one.tied_with_best or one.undecided for one in summary.trials) - 1,
        intervals=len(intervals),
        covered=sum(low <= ratio <= high for (low, high), ratio in intervals),
        nearly=sum(
            low * (1 - MARGIN) <= ratio <= high * (1 + MARGIN) for (low, high), ratio in intervals
        ),
        predicted=summary.predicted.value / math.exp(sum(map(math.log, rates)) / len(rates)),
    )


def _fastest(summary: Summary) -> int:
    """Return the trial that the ratios compare with."""
    tied = [index for index, one in enumerate(summary.trials) if one.tied_with_best]
    return next(i for i in tied if (ratio := summary.trials[i].ratio_to_best) and ratio.value == 1)


def _long_ratio(index: int, reference: int, long_runs: list[list[Trial]]) -> float:
    """Return the ratio of two trials in the long runs, the mean of their logarithms."""
    logs = []
    for trials in map(counted, long_runs):
        ratio = paired_ratio(trials[index].rates, trials[reference].rates)
        assert ratio is not None
        logs.append(math.log(ratio.value))
    return math.exp(sum(logs) / len(logs))


def _long_rate(index: int, trials: list[Trial]) -> float:
    return median(counted(trials)[index].rates.values())


def _table(repeats: list[Repeat], long_s: list[float]) -> str:
    intervals = sum(repeat.intervals for repeat in repeats)
    covered, nearly = (
        f"{sum(counts) / intervals:.1%} of {intervals}"
        for counts in ([one.covered for one in repeats], [one.nearly for one in repeats])
    )
    rows = {
        "benches": f"{len(repeats)}",
        "seconds": _spread([one.seconds for one in repeats], ".0f"),
        "seconds of the long benches": ", ".join(f"{one:.0f}" for one in long_s),
        "rounds": _spread([one.rounds for one in repeats], "g"),
        "benches with an undecided trial": f"{sum(one.undecided > 0 for one in repeats)}",
        'benches with a false "slower"': f"{sum(bool(one.false_slower) for one in repeats)}",
        "rate of the winner ÷ rate of the fastest": _spread(
            [one.of_fastest for one in repeats], ".3f"
        ),
        "ratios whose interval contains that of the long benches": covered,
        f"the same but for {MARGIN:.0%}": nearly,
        "predicted rate ÷ rate in the long benches": _spread(
            [one.predicted for one in repeats], ".3f"
        ),
    }
    lines = ["| | median (least, most) |", "|---|---|"]
    return "\n".join([*lines, *(f"| {name} | {value} |" for name, value in rows.items())]) + "\n"


def _spread(values: Sequence[float], form: str) -> str:
    return f"{median(values):{form}} ({min(values):{form}}, {max(values):{form}})"


if __name__ == "__main__":
    main()
