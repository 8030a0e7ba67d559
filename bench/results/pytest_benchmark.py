"""A bench or limits run in the JSON format of pytest-benchmark, for its `compare` and histogram.

A round is a block, and its time is seconds per image, so that OPS are images per second.
"""

from __future__ import annotations

import json
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from pathlib import Path
from statistics import mean, median, stdev
from typing import Any

from feedbench.bench.analysis.summary import counted
from feedbench.bench.described import is_environment
from feedbench.bench.environment import began_at, written_at
from feedbench.bench.errors import RecordError
from feedbench.bench.record import Trial
from feedbench.bench.report.summary_text import consumer_text
from feedbench.bench.report.table import trial_name
from feedbench.bench.results.kinds import BenchResult, LimitsResult, Result

_VERSION = "5.1.0"  # of pytest-benchmark, whose fields these are


def as_pytest_benchmark(result: Result) -> dict[str, Any]:
    """Return the trials with a counted block as the contents of a file of pytest-benchmark.

    Raises:
        RecordError: the result is no bench or limits run with raw blocks, or no block was timed.
    """
    if not isinstance(result, BenchResult | LimitsResult) or not result.trials:
        raise RecordError(
            f"{result.path}: pytest-benchmark needs timed blocks; give the folder of a bench or "
            "limits run"
        )
    trials = [trial for trial in counted(result.trials) if trial.blocks]
    if not trials:
        raise RecordError(
            f"{result.path}: no block was timed, so there is nothing to save for pytest-benchmark"
        )
    return {
        "machine_info": _machine_info(result.path.parent, trials[0]),
        "commit_info": {"id": "unversioned", "time": None, "dirty": False, "project": "feedbench"},
        "benchmarks": [_benchmark(trial) for trial in trials],
        "datetime": (began_at(result.path) or written_at(result.path)).isoformat(),
        "version": _VERSION,
    }


def _machine_info(folder: Path, trial: Trial) -> dict[str, Any]:
    """Return the machine from the environment.json of a run; without one, from a trial."""
    facts = _environment(folder) or {**(trial.machine or {}), "packages": trial.versions or {}}
    system, _, release = str(facts.get("system", "")).partition(" ")
    return {
        "node": "",  # records hold no host name
        "system": system,
        "release": release,
        "processor": facts.get("processor", ""),
        "python_version": facts.get("python", ""),
        "cpu": {"count": facts.get("cores"), "brand_raw": facts.get("processor", "")},
        "gpus": facts.get("gpus", []),
        "packages": facts.get("packages", {}),
    }


def _environment(folder: Path) -> dict[str, Any]:
    """Return the environment.json of a run; empty if there is none that can be read."""
    try:
        facts = json.loads((folder / "environment.json").read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return facts if is_environment(facts) else {}


def _benchmark(trial: Trial) -> dict[str, Any]:
    name = trial_name(trial)
    return {
        "group": trial.consumer,  # pytest-benchmark names files by it
        "name": name,
        "fullname": f"feedbench::{name}",
        "params": {"loader": trial.loader, **trial.settings},
        "param": name,
        "extra_info": {
            "unit": "seconds per image",
            "batch_size": trial.spec["batch_size"],
            "consumer": consumer_text(trial),
        },
        "options": {"disable_gc": False, "warmup": True},
        "stats": stats([block.seconds / block.images for block in trial.blocks]),
    }


def stats(data: Sequence[float]) -> dict[str, Any]:
    """Return the statistics of pytest-benchmark.

    Args:
        data: seconds per image of each block.
    """
    ordered, center = sorted(data), mean(data)
    low, high = _quartiles(ordered)
    deviation = stdev(data) if len(data) > 1 else 0.0
    fence = 1.5 * (high - low)
    beyond_deviation = sum(abs(value - center) > deviation for value in data)
    beyond_fence = sum(value < low - fence or value > high + fence for value in data)
    return {
        "min": ordered[0],
        "max": ordered[-1],
        "mean": center,
        "stddev": deviation,
        "rounds": len(data),
        "iterations": 1,
        "median": median(data),
        "q1": low,
        "q3": high,
        "iqr": high - low,
        "ld15iqr": ordered[bisect_left(ordered, low - fence)],
        "hd15iqr": ordered[bisect_right(ordered, high + fence) - 1],
        "stddev_outliers": beyond_deviation,
        "iqr_outliers": beyond_fence,
        "outliers": f"{beyond_deviation};{beyond_fence}",
        "ops": 1 / center,
        "total": sum(data),
        "data": list(data),
    }


def _quartiles(ordered: Sequence[float]) -> tuple[float, float]:
    """Return the first and the third quartile, as pytest-benchmark defines them.

    Of an even number of values, they are the medians of both halves; of an odd one, they are
    interpolated.
    """
    count = len(ordered)
    if count == 1:
        return ordered[0], ordered[0]
    if count % 2 == 0:
        return median(ordered[: count // 2]), median(ordered[count // 2 :])
    n, is_long = count // 4, count % 4 == 3
    if is_long:
        return (
            0.75 * ordered[n] + 0.25 * ordered[n + 1],
            0.25 * ordered[3 * n + 1] + 0.75 * ordered[3 * n + 2],
        )
    return (
        0.25 * ordered[n - 1] + 0.75 * ordered[n],
        0.75 * ordered[3 * n] + 0.25 * ordered[3 * n + 1],
    )
