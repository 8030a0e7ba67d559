"""Replays benches that may end early on the recorded blocks of long runs.

    python results/early-stopping/repeat.py photos/ out/
    python results/early-stopping/replay.py out/

A bench is replayed from every round of each long run on: the functions that end a real one see its
next 4, 6, 9 and 15 rounds. So their noise is that of the machine, and only their number is not
limited by time. The trials are also made equally fast, or a given percentage apart, by constant
factors on their rates; then the truth is known exactly.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

import numpy as np

from feedbench.bench.analysis.compare import MARGIN
from feedbench.bench.analysis.stats import paired_ratio, wilson
from feedbench.bench.analysis.stopping import judge, judged_after
from feedbench.bench.analysis.summary import counted, summarize
from feedbench.bench.plan.plan import Timing
from feedbench.bench.record import Block, Stopped, Trial
from feedbench.bench.trials.early_stop import blocks_alone
from feedbench.bench.trials_file import read_trials

LONG = ("long-before", "long-after")
APART = (None, 0.0, 0.02, 0.05, 0.1, 0.2)  # None: as they were measured
Speeds = list[float]  # of each trial relative to the first


@dataclass(frozen=True)
class Cost:
    """What a bench takes besides its blocks, by the real ones of the same trials.

    Attributes:
        fixed_s: start, warm-up and the rest, of each real bench.
        between_s: from the end of a block to the beginning of the next.
    """

    fixed_s: list[float]
    between_s: float

    def of(self, trials: Sequence[Trial], rounds: int) -> float:
        """Return the seconds of a replayed bench, with the blocks of the winner alone."""
        blocks = [block for trial in trials for block in trial.blocks]
        seconds = sum(block.seconds for block in blocks)
        alone = blocks_alone(Timing(), rounds)
        count = len(blocks) + alone
        one_s = seconds / len(blocks)
        return median(self.fixed_s) + seconds + alone * one_s + count * self.between_s


@dataclass(frozen=True)
class Replayed:
    """A replayed bench.

    Attributes:
        begin: the first round, of those of its long run.
        rounds: of the trial that was timed longest.
        seconds: None without a real bench that says what starting takes.
        false_slower: whether a trial is called slower than one that is not faster.
        wrong_order: whether the fastest is not among the fastest in truth, by 1 % or more.
        undecided: whether any trial ties with the fastest, or cannot be told from it.
        covered: of how many ratios the interval contains the truth.
        intervals: number of ratios with an interval.
    """

    begin: int
    rounds: int
    seconds: float | None
    false_slower: bool
    wrong_order: bool
    undecided: bool
    covered: int
    intervals: int


def main() -> None:
    """Print the table for all ways in which the trials are apart."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path, help="folder that repeat.py wrote")
    out = parser.parse_args().out
    longs = [counted(read_trials(out / name)) for name in LONG]
    cost = cost_of(out)
    lines = [
        "| apart by | benches | without a common block | rounds | seconds | "
        'with a false "slower" | wrong fastest | undecided | intervals that contain the truth |',
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for apart in APART:
        runs = [list(replays(trials, apart, cost)) for trials in longs]
        lines.append(row("as measured" if apart is None else f"{apart:.0%}", runs))
    sys.stdout.write("\n".join(lines) + "\n")


def cost_of(out: Path) -> Cost | None:
    """Return what the real benches in a folder took besides their blocks; None without any."""
    fixed, between = [], []
    for folder in sorted(out.glob("run-*")):
        trials = read_trials(folder)
        blocks = sorted((block for one in trials for block in one.blocks), key=_began)
        gaps = [
            _began(after) - _began(before) - before.seconds
            for before, after in pairwise(blocks)
            if before.round > 0  # later ones: in the first round, warm-ups are between blocks
        ]
        seconds = json.loads((folder / "seconds.json").read_text())
        gap = median(gaps)
        fixed.append(seconds - sum(block.seconds + gap for block in blocks))
        between.append(gap)
    return Cost(fixed, median(between)) if fixed else None


def _began(block: Block) -> float:
    assert block.began is not None
    return block.began


def replays(trials: list[Trial], apart: float | None, cost: Cost | None) -> Iterator[Replayed]:
    """Replay a bench from every round on that has enough rounds after it.

    Args:
        trials: of a long run, each with a block in every round.
        apart: how much slower each trial is made than the previous one; None to leave them.
    """
    measured = measured_speeds(trials)
    speeds = measured if apart is None else [(1 - apart) ** n for n in range(len(trials))]
    factors = [wanted / found for wanted, found in zip(speeds, measured, strict=True)]
    whole = [scaled(trial, factor) for trial, factor in zip(trials, factors, strict=True)]
    most = Timing().blocks
    for begin in range(len(trials[0].blocks) - most + 1):
        ended = run_to_the_end([window(trial, begin, most) for trial in whole])
        yield judged(ended, speeds, begin, cost)


def measured_speeds(trials: Sequence[Trial]) -> Speeds:
    """Return the rate of each trial relative to the first, in blocks of the same round."""
    ratios = [paired_ratio(trial.rates, trials[0].rates) for trial in trials]
    return [one.value for one in ratios if one is not None]


def scaled(trial: Trial, factor: float) -> Trial:
    """Return a trial whose blocks were faster by a factor."""
    blocks = [one.model_copy(update={"seconds": one.seconds / factor}) for one in trial.blocks]
    return trial.model_copy(update={"blocks": blocks})


def window(trial: Trial, begin: int, count: int) -> Trial:
    """Return a trial that was timed in these rounds only, counted from 0."""
    blocks = [
        block.model_copy(update={"round": number})
        for number, block in enumerate(trial.blocks[begin : begin + count])
    ]
    looks = list(judged_after(count))
    values = {"blocks": blocks, "judged_after": looks, "chosen_before": None}
    return trial.model_copy(update=values)


def run_to_the_end(whole: Sequence[Trial]) -> list[Trial]:
    """Return the trials of a bench as it leaves them, given the blocks of all its rounds."""
    looks = whole[0].judged_after
    timed = dict.fromkeys(range(len(whole)), looks[-1])
    stopped: dict[int, Stopped] = {}
    for rounds in looks:
        now = [
            first_blocks(trial, min(rounds, timed[index]), stopped.get(index))
            for index, trial in enumerate(whole)
        ]
        if rounds == looks[-1]:
            break
        judgement = judge(now)
        for index in judgement.slower_than:
            timed[index] = rounds
            stopped[index] = Stopped(rounds=rounds, slower_than="a faster one")
        if judgement.is_decided:
            break
    return [first_blocks(one, timed[n], stopped.get(n)) for n, one in enumerate(now)]


def first_blocks(trial: Trial, count: int, stopped: Stopped | None) -> Trial:
    """Return a trial with its first blocks only."""
    return trial.model_copy(update={"blocks": trial.blocks[:count], "stopped": stopped})


def judged(trials: list[Trial], speeds: Speeds, begin: int, cost: Cost | None) -> Replayed:
    """Return how a replayed bench compares with the truth."""
    summaries = summarize(trials).trials
    fastest = next(
        number
        for number, one in enumerate(summaries)
        if one.tied_with_best and one.ratio_to_best and one.ratio_to_best.value == 1
    )
    slower = [not one.tied_with_best and not one.undecided for one in summaries]
    rounds = max(one.blocks for one in summaries)
    intervals = {
        number: one.ratio_to_best.interval
        for number, one in enumerate(summaries)
        if number != fastest and one.ratio_to_best and one.ratio_to_best.interval
    }
    truth = [speed / speeds[fastest] for speed in speeds]
    return Replayed(
        begin=begin,
        rounds=rounds,
        seconds=None if cost is None else cost.of(trials, rounds),
        false_slower=any(is_slower and truth[n] > 1 - MARGIN for n, is_slower in enumerate(slower)),
        wrong_order=max(truth) > 1.01,
        undecided=sum(not one for one in slower) > 1,
        covered=sum(low <= truth[number] <= high for number, (low, high) in intervals.items()),
        intervals=len(intervals),
    )


def disjoint(benches: Sequence[Replayed]) -> list[Replayed]:
    """Return benches of one long run, of which none shares a round with another."""
    kept: list[Replayed] = []
    for one in sorted(benches, key=lambda bench: bench.begin):
        if not kept or one.begin >= kept[-1].begin + kept[-1].rounds:
            kept.append(one)
    return kept


def row(name: str, runs: Sequence[Sequence[Replayed]]) -> str:
    """Return a line of the table; errors are bounded by benches that share no block."""
    benches = [bench for run in runs for bench in run]
    apart = [bench for run in runs for bench in disjoint(run)]
    rounds = [bench.rounds for bench in benches]
    seconds = [bench.seconds for bench in benches if bench.seconds is not None]
    intervals = sum(bench.intervals for bench in benches)
    cells = [
        name,
        f"{len(benches)}",
        f"{len(apart)}",
        f"{median(rounds):g} ({np.percentile(rounds, 90):g})",
        f"{median(seconds):.0f} ({np.percentile(seconds, 90):.0f})" if seconds else "–",
        _share(benches, apart, "false_slower"),
        _share(benches, apart, "wrong_order"),
        f"{sum(bench.undecided for bench in benches) / len(benches):.0%}",
        f"{sum(bench.covered for bench in benches) / intervals:.1%}" if intervals else "–",
    ]
    return f"| {' | '.join(cells)} |"


def _share(benches: Sequence[Replayed], apart: Sequence[Replayed], field: str) -> str:
    """Return the share with an error, and the upper end of its interval by those apart."""
    found = sum(getattr(bench, field) for bench in benches) / len(benches)
    of_apart = wilson(sum(getattr(bench, field) for bench in apart), len(apart))
    return f"{found:.1%} (≤ {of_apart.high:.1%})"


if __name__ == "__main__":
    main()
