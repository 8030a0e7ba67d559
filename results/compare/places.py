"""Print how the first and the second trial of the runs of places.sh differ, as a Markdown table."""

import sys
from collections.abc import Callable
from pathlib import Path
from statistics import mean, median

from feedbench.bench.record import Block, Trial
from feedbench.bench.trials_file import read_trials

Figure = Callable[[Block], float]
KINDS = ("as-they-are", "swapped", "setting-of-first", "setting-of-second", "memory-kept")
HEAD = ("run", "rate", "CPU time per image", "page faults per image", "of the second")


def main() -> None:
    """Print one row per kind of run: the first trial divided by the second, and page faults."""
    lines = ["| " + " | ".join(HEAD) + " |", "|---" * len(HEAD) + "|"]
    for kind in KINDS:
        runs = [read_trials(folder) for folder in sorted(Path(sys.argv[1]).glob(f"run-*/{kind}"))]
        if runs:
            lines.append(_row(f"{kind} ({len(runs)})", runs))
    sys.stdout.write("\n".join(lines) + "\n")


def _row(name: str, runs: list[list[Trial]]) -> str:
    first_faster = sum(_ratio(run, _rate) > 1 for run in runs)
    cells = [
        name,
        f"{median(_ratio(run, _rate) for run in runs):.3f} ({first_faster} times above 1)",
        f"{median(_ratio(run, _cpu) for run in runs):.3f}",
        *(f"{median(_median(run[place], _faults) for run in runs):.1f}" for place in (0, 1)),
    ]
    return "| " + " | ".join(cells) + " |"


def _ratio(run: list[Trial], figure: Figure) -> float:
    """Return the median over rounds of the figure of the first trial ÷ that of the second."""
    first, second = ({block.round: figure(block) for block in trial.blocks} for trial in run)
    return median(first[index] / second[index] for index in first.keys() & second.keys())


def _median(trial: Trial, figure: Figure) -> float:
    return median(map(figure, trial.blocks))


def _rate(block: Block) -> float:
    return block.images_per_second


def _cpu(block: Block) -> float:
    return block.cpu_s / block.images


def _faults(block: Block) -> float:
    """Return the page faults per image, of the whole machine."""
    per_s = block.host.minor_faults_per_s if block.host else []
    samples = [sample for sample in per_s if sample is not None]
    return mean(samples) * block.seconds / block.images if samples else float("nan")


if __name__ == "__main__":
    main()
