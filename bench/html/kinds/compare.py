"""The report of a comparison: ratios against 1, and what else differs between the runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import join

from feedbench.bench.analysis.compare import MARGIN
from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.errors import RecordError
from feedbench.bench.files import read_model
from feedbench.bench.html.charts.dots import Dot, Line
from feedbench.bench.html.charts.frame import Role
from feedbench.bench.html.kinds.cells import (
    Field,
    dots_chart,
    figure,
    first_rows,
    ratio_figure,
    table_of,
)
from feedbench.bench.html.parts import Chart, Code, Headline, Part, Report, Section, Table, Text
from feedbench.bench.report.table import ratio_text
from feedbench.bench.results.comparison import (
    COMPARISON,
    SCHEMA_NUMBER,
    ComparedRun,
    Comparison,
    RatePair,
    StallChange,
    TrainingChange,
    Unpaired,
)
from feedbench.bench.results.comparison_table import blocks_text, difference_text, pair_name
from feedbench.bench.results.kinds import CompareResult
from feedbench.bench.training.compare import TrainingComparison

_MARGINS = (Line(1 - MARGIN, ""), Line(1.0, f"within {100 * MARGIN:.0f} %"), Line(1 + MARGIN, ""))
_NAMED = 2  # rates that the title names
_ROLES: dict[str, Role] = {"slower": "cost", "faster": "marked"}
_COUNTED = {"same within 3 %": "the same within 3 %"}  # after a number of rates


def report_of_compare(result: CompareResult) -> Report:
    """Return the report of a comparison, one section of ratios per run."""
    comparison = result.comparison
    indexes = sorted({pair.run for pair in comparison.pairs})
    sections = [
        *_gate(comparison),
        *(_ratios(comparison, run) for run in indexes),
        *_trainings(comparison),
        *_stalls(comparison),
        *_conditions(comparison),
        Section("Runs", list(_runs(comparison)), "runs"),
    ]
    return Report(_title(comparison), Headline(comparison.verdict), sections)


def _title(comparison: Comparison) -> str:
    base, *others = (run.name for run in comparison.runs)
    if comparison.is_paired:
        return f"New against old in {base}"
    return f"{', '.join(others)} compared with {base}"


def comparison_beside(folder: Path) -> Iterator[Section]:
    """Yield the comparison with an earlier run that `bench --against` saved, if there is one."""
    try:
        comparison = read_model(folder / COMPARISON, Comparison, "comparison", SCHEMA_NUMBER)
    except RecordError:
        return
    for run in sorted({pair.run for pair in comparison.pairs}):
        section = _ratios(comparison, run)
        yield replace(section, parts=[Text(comparison.verdict, "verdict"), *section.parts])


def _gate(comparison: Comparison) -> Iterator[Section]:
    if (gate := comparison.gate) is not None:
        text = Text(gate.text, "error" if gate.has_failed else "plain")
        yield Section(f"Slower by more than {gate.limit * 100:g} %?", [text], "gate")


def _ratios(comparison: Comparison, run: int) -> Section:
    base, other = comparison.runs[0].name, comparison.runs[run].name
    if comparison.is_paired:
        base, other = "old", "new"
    pairs = [pair for pair in comparison.pairs if pair.run == run]
    parts: list[Part] = [table_of("Rates", _pair_fields(base, other), pairs)]
    if chart := ratios_chart(pairs, base, other):
        parts.insert(0, chart)
    title = "New against old" if comparison.is_paired else f"{other} against {base}"
    return Section(title, parts, f"ratios-{run}")


def ratios_chart(pairs: Sequence[RatePair], base: str, other: str) -> Chart | None:
    """Return each ratio with its interval around 1, the smallest first; None without a ratio."""
    compared = sorted(
        ((pair, pair.ratio) for pair in pairs if pair.ratio), key=lambda item: item[1].value
    )
    if not compared:
        return None
    return dots_chart(
        _ratios_title([pair for pair, _ in compared]),
        f"Rate of {other} divided by the rate of {base}, with 95 % intervals.",
        [_ratio_dot(pair, ratio) for pair, ratio in compared],
        f"rate of {other} ÷ rate of {base}",
        _MARGINS,
    )


def _ratio_dot(pair: RatePair, ratio: Estimate) -> Dot:
    role = _ROLES.get(pair.outcome, "plain") if pair.reads_images else "faint"
    text = f"{pair.outcome} {ratio_text(ratio)}"
    return Dot(pair_name(pair), ratio.value, text, ratio.low, ratio.high, role)


def _ratios_title(pairs: Sequence[RatePair]) -> str:
    """Return how many rates have each outcome, and which have changed if they are few."""
    words = []
    for outcome in ("slower", "faster", "same within 3 %", "cannot tell"):
        names = [pair_name(pair) for pair in pairs if pair.outcome == outcome]
        if names and outcome in _ROLES and len(names) <= _NAMED:
            words.append(f"{outcome}: {', '.join(names)}")
        elif names and outcome == "cannot tell":
            words.append(f"cannot tell for {len(names)}")
        elif names:
            words.append(f"{len(names)} {_COUNTED.get(outcome, outcome)}")
    text = "; ".join(words)
    return text[0].upper() + text[1:]


def _pair_fields(base: str, other: str) -> list[Field[RatePair]]:
    return [
        Field("what", pair_name),
        Field(
            "ratio [95 %]",
            lambda pair: ratio_figure(pair.ratio),
            f"rate of {other} ÷ rate of {base}",
        ),
        Field(
            "result",
            lambda pair: "failed" if pair.has_failed else pair.outcome,
            "decided for all pairs of the comparison together",
        ),
        Field(f"{other}, images/s [95 %]", lambda pair: figure(pair.other)),
        Field(f"{base}, images/s [95 %]", lambda pair: figure(pair.base)),
        Field(
            "blocks",
            blocks_text,
            f"of {base} and of {other}, or of pairs; one number if they are equal",
        ),
        Field("differs", lambda pair: ", ".join(pair.differs), "what else is not the same"),
        Field("error", lambda pair: pair.error),
    ]


def _trainings(comparison: Comparison) -> Iterator[Section]:
    for change in comparison.trainings:
        base, other = comparison.runs[0].name, comparison.runs[change.run].name
        parts = list(_training(change, base, other))
        yield Section(f"Training: {other}", parts, f"training-{change.run}")


def _training(change: TrainingChange, base: str, other: str) -> Iterator[Part]:
    yield Text(
        f"Time of all epochs: {base} {change.base_s:,.0f} s, {other} {change.other_s:,.0f} s."
    )
    if change.accuracy is None:
        yield Text(f"The accuracy is not compared: {change.not_compared}.", "note")
        return
    text = change.accuracy.text
    yield Text(f"{text[0].upper()}{text[1:]}.", "verdict")
    yield _recall_table(change.accuracy, base, other)


_Recall = tuple[str, Estimate | None, Estimate | None]


def _recall_table(found: TrainingComparison, base: str, other: str) -> Table:
    first, second = found.first, found.second
    rows: list[_Recall] = [("accuracy", first.accuracy, second.accuracy)]
    rows += [
        (f"recall of {name}", recall, second.recall.get(name))
        for name, recall in sorted(first.recall.items(), key=lambda one: one[1].value)
    ]
    fields: list[Field[_Recall]] = [
        Field("share of the test images", lambda row: row[0]),
        Field(f"{base} [95 %]", lambda row: figure(row[1], ".1%")),
        Field(f"{other} [95 %]", lambda row: figure(row[2], ".1%")),
    ]
    note = (
        f"Images that only one of them classifies correctly: {found.only_first} ({base}), "
        f"{found.only_second} ({other}); McNemar's exact test: p = {found.p_value:.3g}."
    )
    shown, cut = first_rows(rows, "the lowest recall in the first run")
    return table_of("Accuracy", fields, shown, note=f"{cut} {note}".strip())


def _stalls(comparison: Comparison) -> Iterator[Section]:
    if comparison.stalls:
        fields = _stall_fields(comparison.runs)
        yield Section("Stall", [table_of("Stalls", fields, comparison.stalls)], "stalls")


def _stall_fields(runs: Sequence[ComparedRun]) -> list[Field[StallChange]]:
    base = runs[0].name
    return [
        Field("run", lambda one: runs[one.run].name),
        Field("stall [95 %]", lambda one: figure(one.other, ".1%")),
        Field(f"stall of {base} [95 %]", lambda one: figure(one.base, ".1%")),
        Field("difference [95 %]", lambda one: figure(one.difference, "+.1%")),
        Field("bottleneck", lambda one: one.other_bottleneck),
        Field(f"bottleneck of {base}", lambda one: one.base_bottleneck),
    ]


def _conditions(comparison: Comparison) -> Iterator[Section]:
    parts: list[Part] = [Text(note, "warning") for note in comparison.notes]
    several = len(comparison.runs) > 2
    for one in comparison.differences:
        run = f"{comparison.runs[one.run].name}: " if several else ""
        parts.append(Text(f"{run}{difference_text(one)}", "warning"))
    if comparison.unpaired:
        fields = _unpaired_fields(comparison.runs)
        parts.append(table_of("Without a partner", fields, comparison.unpaired))
    if parts:
        yield Section("What else differs", parts, "conditions")


def _unpaired_fields(runs: Sequence[ComparedRun]) -> list[Field[Unpaired]]:
    return [
        Field("only in", lambda one: runs[0 if one.is_in_base else one.run].name),
        Field("loader and settings, or part", lambda one: one.name),
        Field("images/s [95 %]", lambda one: figure(one.images_per_second)),
    ]


def _runs(comparison: Comparison) -> Iterator[Part]:
    base = None if comparison.is_paired else comparison.runs[0]
    fields: list[Field[ComparedRun]] = [
        Field("run", lambda run: f"{run.name} (base)" if run is base else run.name),
        Field("command", lambda run: run.command),
        Field("measured", lambda run: run.measured),
        Field("winner", lambda run: run.winner),
    ]
    yield table_of("Runs", fields, comparison.runs, lambda run: run is base)
    if not comparison.is_paired:
        paths = [run.path for run in comparison.runs]
        yield Code(join(["feedbench", "compare", *paths]), "Compare again")
