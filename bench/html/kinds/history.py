"""The report of a history: the rates of one bench over many runs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from feedbench.bench.analysis.compare import MARGIN
from feedbench.bench.analysis.estimate import Estimate, rate_text
from feedbench.bench.compare.history import HistoryEntry, HistoryTrial, read_history
from feedbench.bench.html.charts.history import Run, history_lines
from feedbench.bench.html.kinds.cells import Field, figure, table_of
from feedbench.bench.html.parts import Chart, Headline, Part, Report, Section, Text

_COMMIT = 10  # characters
_FIELDS = {"time", "commit", "trials"}  # of a line, which no other record has


def is_history(path: Path) -> bool:
    """Return whether a file looks like one that `bench --history` wrote: a run per line."""
    try:
        with path.open("rb") as file:
            first = json.loads(file.readline())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(first, dict) and first.keys() >= _FIELDS


def report_of_history(path: Path) -> Report:
    """Return the report of a file that `bench --history` wrote.

    Raises:
        RecordError: the file cannot be read, or a line is not a run.
    """
    entries = read_history(path)
    groups: dict[str, list[HistoryEntry]] = defaultdict(list)
    for entry in entries:
        groups[entry.group].append(entry)
    latest_first = sorted(groups.values(), key=lambda group: group[-1].time, reverse=True)
    sections = [
        Section(_conditions(group), list(_group(group)), f"runs-{index}")
        for index, group in enumerate(latest_first, 1)
    ] or [Section("Runs", [Text("The history is empty.", "note")], "runs")]
    sentence = f"Runs: {len(entries)}; sets of conditions: {len(groups)}"
    latest = f"; the latest: {_latest(entries[-1])}" if entries else ""
    return Report(f"History in {path.name}", Headline(f"{sentence}{latest}."), sections)


def _latest(entry: HistoryEntry) -> str:
    for trial in entry.trials:
        if trial.winner and (rate := trial.images_per_second):
            return f"{trial.name}, {rate_text(rate)} images/s"
    return f"{entry.time:%Y-%m-%d}, without a winner"


def _conditions(group: Sequence[HistoryEntry]) -> str:
    last = group[-1]
    size = last.spec.get("image_size", "?")
    return f"{last.images:,} images at {size} px, {last.consumer}: {_runs(group)}"


def _runs(group: Sequence[HistoryEntry]) -> str:
    return "1 run" if len(group) == 1 else f"{len(group)} runs"


def _group(group: Sequence[HistoryEntry]) -> Iterator[Part]:
    rates = [
        Run(entry.time, trial.name, rate.value, rate.low, rate.high, _commit(entry))
        for entry in group
        for trial in entry.trials
        if (rate := trial.images_per_second)
    ]
    pairs = [(entry, trial) for entry in group for trial in entry.trials]
    table = table_of("Runs", _COLUMNS, pairs)
    if not rates:
        yield table
        return
    yield Chart(
        _title(group),
        f"Images per second of each loader in {_runs(group)}, with 95 % intervals.",
        history_lines(rates),
        table=table,
    )


_COLUMNS: list[Field[tuple[HistoryEntry, HistoryTrial]]] = [
    Field("loader and settings", lambda row: row[1].name),
    Field("images/s [95 %]", lambda row: figure(row[1].images_per_second)),
    Field("time, UTC", lambda row: f"{row[0].time:%Y-%m-%d %H:%M}"),
    Field("commit", lambda row: _commit(row[0])),
    Field("blocks", lambda row: row[1].blocks),
    Field("result", lambda row: _outcome(row[1])),
]


def _outcome(trial: HistoryTrial) -> str:
    return "winner" if trial.winner else "" if trial.images_per_second else "failed"


def _title(group: Sequence[HistoryEntry]) -> str:
    first, last = (_rates(entry) for entry in (group[0], group[-1]))
    common = [name for name in first if name in last]
    if len(group) < 2 or not common:
        return "Rates of the first run" if len(group) < 2 else "Rates of each run"
    changes = {name: last[name].value / first[name].value for name in common}
    if all(abs(change - 1) <= MARGIN for change in changes.values()):
        return f"From the first run to the last, no rate changed by more than {MARGIN:.0%}"
    certain = [name for name in common if _are_apart(first[name], last[name])]
    if not certain:
        return "The intervals of the first run and of the last one overlap for each rate"
    name = max(certain, key=lambda one: abs(changes[one] - 1))
    return f"{name} changed most from the first run to the last: × {changes[name]:.2f}"


def _are_apart(one: Estimate, other: Estimate) -> bool:
    """Whether two estimates have intervals that do not overlap."""
    if one.interval is None or other.interval is None:
        return False
    return one.interval[1] < other.interval[0] or other.interval[1] < one.interval[0]


def _rates(entry: HistoryEntry) -> dict[str, Estimate]:
    return {
        trial.name: trial.images_per_second
        for trial in entry.trials
        if trial.images_per_second is not None and trial.images_per_second.value
    }


def _commit(entry: HistoryEntry) -> str:
    if entry.commit is None:
        return ""
    return entry.commit[:_COMMIT] + (" with changes" if entry.has_changes else "")
