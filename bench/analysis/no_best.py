"""Why a result folder has no best.toml, as far as its record shows."""

from __future__ import annotations

import shlex
from pathlib import Path

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.analysis.winner import why_no_winner
from feedbench.bench.trials_file import TRIALS, read_trials

_SEARCH = "tune.json"
_SUMMARY = "summary.json"  # the last file but one of a bench
_CHOOSE_NOTHING = ("limits-record.json", "fit.json")  # beside the trials of other commands


def why_no_best(folder: Path) -> str:
    """Return why the run in a folder wrote no best.toml, or else which runs write one.

    Raises:
        RecordError: its record is not valid.
    """
    shown = shlex.join(["feedbench", "show", str(folder)])
    if (folder / _SEARCH).is_file():
        return f"its search has not chosen anything yet; {shown} says why"
    has_bench = (folder / TRIALS).is_file()
    if not has_bench or any((folder / name).exists() for name in _CHOOSE_NOTHING):
        return "bench and tune write one"
    if not (folder / _SUMMARY).is_file():
        return "its bench is still running, or was killed before it wrote one; run it again"
    summary = summarize(read_trials(folder))
    if summary.winner is not None:
        return "its bench had written one; run it again"
    return f"its bench chose no loader: {why_no_winner(summary)}; {shown} has its table"
