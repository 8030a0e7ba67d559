"""A report of published runs, made when the site is built: it holds a library that is not ours."""

from __future__ import annotations

from links import ROOT

from feedbench.bench.html.kinds import report_at
from feedbench.bench.html.render import render

_RUNS = ("diagnose-clothing", "tutorial/first", "fast-training/turbo")


def example_report() -> str:
    """Return the page that `feedbench report` writes about a diagnosis, a bench and a training."""
    paths = [ROOT / "results" / run for run in _RUNS]
    return render([report_at(path, is_alone=False) for path in paths])
