"""Print the rates of all forms as a Markdown table: a row per form, a column per loader and state.

python results/containers/table.py RUNS
"""

import sys
from pathlib import Path

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.trials_file import read_trials

STATES = ("warm", "cold")
FORMS = ("folder", "photos", "tar", "tfrecord", "parquet", "parquet-snappy")


def main() -> None:
    """Print what has been measured so far."""
    runs = Path(sys.argv[1])
    rates = {
        (form, state): rates_in(runs / f"{form}-{state}") for form in FORMS for state in STATES
    }
    loaders = list(dict.fromkeys(name for found in rates.values() for name in found))
    columns = [(state, name) for state in STATES for name in loaders]
    heads = ["form", *(f"`{name}`, {state}" for state, name in columns)]
    lines = [heads, ["---"] * len(heads)]
    for form in FORMS:
        found = [rates[form, state].get(name, "") for state, name in columns]
        lines.append([form.replace("photos", "zip"), *found])
    for line in lines:
        sys.stdout.write(f"| {' | '.join(line)} |\n")


def rates_in(run: Path) -> dict[str, str]:
    """Images per second of each loader; empty if there is no such run."""
    if not (run / "trials.jsonl").exists():
        return {}
    trials = summarize(read_trials(run)).trials
    return {
        one.loader: f"{one.images_per_second:,.0f}" if one.images_per_second else "–"
        for one in trials
    }


if __name__ == "__main__":
    main()
