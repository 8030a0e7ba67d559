"""The report of a comparison: ratios against 1, and what else differs between the runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from shlex import join

from feedbench.bench.errors import RecordError
from feedbench.bench.files import read_model
from feedbench.bench.html.charts.dots import Dot, Line, dots
from feedbench.bench.html.charts.frame import Role
from feedbench.bench.html.kinds.cells import (
    dots_table,
    figure,
    first_sentence,
    listed,
    without_empty_columns,
)
from feedbench.bench.html.parts import (
    Cell,
    Chart,
    Code,
    Column,
    Headline,
    Part,
    Report,
    Section,
    Table,
    Text,
)
from feedbench.bench.results.comparison import (
    COMPARISON,
    SCHEMA_NUMBER,
    Comparison,
    RatePair,
    TrainingChange,
)
from feedbench.bench.results.comparison_table import difference_text, pair_name
from feedbench.bench.results.kinds import CompareResult
from feedbench.bench.training.compare import TrainingComparison
from feedbench.bench.training.rate_check import MARGIN

_MARGINS = (Line(1 - MARGIN, ""), Line(1.0, f"within {100 * MARGIN:.0f} %"), Line(1 + MARGIN, ""))
_NAMED = 2  # rates that the title names
_ROLES: dict[str, Role] = {"slower": "cost", "faster": "marked"}


def report_of_compare(result: CompareResult) -> Report:
    """Return the report of a comparison, one section of ratios per run."""
    comparison = result.comparison
    sentence, more = first_sentence(comparison.verdict)
    verdict = [Section("Verdict", more, "verdict")] if more else []
    indexes = sorted({pair.run for pair in comparison.pairs})
    sections = [
        *verdict,
        *_gate(comparison),
        *(_ratios(comparison, run) for run in indexes),
        *_trainings(comparison),
        *_stalls(comparison),
        *_conditions(comparison),
        Section("Runs", list(_runs(comparison)), "runs"),
    ]
    names = " and ".join(run.name for run in comparison.runs)
    return Report(f"Comparison of {names}", Headline(sentence), sections)


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
    pairs = [pair for pair in comparison.pairs if pair.run == run]
    parts: list[Part] = []
    if chart := ratios_chart(pairs):
        parts.append(chart)
    title = "New against old" if comparison.is_paired else f"{other} against {base}"
    return Section(title, [*parts, _pairs_table(pairs)], f"ratios-{run}")


def ratios_chart(pairs: Sequence[RatePair]) -> Chart | None:
    """Return each ratio with its interval around 1, the smallest first; None without a ratio."""
    compared = sorted(
        ((pair, pair.ratio) for pair in pairs if pair.ratio), key=lambda item: item[1].value
    )
    rows = [
        Dot(
            pair_name(pair),
            ratio.value,
            f"{pair.outcome} {ratio:.2f}",
            ratio.low,
            ratio.high,
            _ROLES.get(pair.outcome, "plain") if pair.reads_images else "faint",
        )
        for pair, ratio in compared
    ]
    if not rows:
        return None
    return Chart(
        _ratios_title([pair for pair, _ in compared]),
        f"Rate divided by the rate of the base, with 95 % intervals. {listed(rows)}",
        dots(rows, "rate ÷ rate of the base", _MARGINS, zero=False),
        table=dots_table("Ratios", "ratio [95 %]", rows),
    )


def _ratios_title(pairs: Sequence[RatePair]) -> str:
    """Return how many rates have each outcome, and which have changed if they are few."""
    words = []
    for outcome in ("slower", "faster", "same within 3 %", "cannot tell"):
        names = [pair_name(pair) for pair in pairs if pair.outcome == outcome]
        is_named = outcome in _ROLES and len(names) <= _NAMED
        if names:
            words.append(f"{', '.join(names) if is_named else len(names)}: {outcome}")
    return "; ".join(words)


def _pairs_table(pairs: Sequence[RatePair]) -> Table:
    columns = [
        Column("what"),
        Column("result", "decided for all pairs of the comparison together"),
        Column("base, images/s [95 %]", numeric=True),
        Column("run, images/s [95 %]", numeric=True),
        Column("ratio [95 %]", "rate of the run ÷ rate of the base", numeric=True),
        Column("blocks", "of the base and of the run, or of pairs"),
        Column("differs", "what else is not the same"),
        Column("error"),
    ]
    rows: list[list[Cell]] = [
        [
            pair_name(pair),
            "failed" if pair.error and pair.ratio is None else pair.outcome,
            figure(pair.base),
            figure(pair.other),
            figure(pair.ratio, ".2f"),
            f"{pair.blocks[0]}, {pair.blocks[1]}",
            ", ".join(pair.differs),
            pair.error or "",
        ]
        for pair in pairs
    ]
    return without_empty_columns("Rates", columns, rows)


def _trainings(comparison: Comparison) -> Iterator[Section]:
    for change in comparison.trainings:
        name = comparison.runs[change.run].name
        yield Section(f"Training: {name}", list(_training(change)), f"training-{change.run}")


def _training(change: TrainingChange) -> Iterator[Part]:
    yield Text(f"Time of all epochs: base {change.base_s:,.0f} s, this {change.other_s:,.0f} s.")
    if change.accuracy is None:
        yield Text(f"The accuracy is not compared: {change.not_compared}.", "note")
        return
    yield Text(change.accuracy.text, "verdict")
    yield _recall_table(change.accuracy)


def _recall_table(found: TrainingComparison) -> Table:
    columns = [
        Column("share of the test images"),
        Column("base [95 %]", numeric=True),
        Column("run [95 %]", numeric=True),
    ]
    first, second = found.first, found.second
    rows: list[list[Cell]] = [
        ["accuracy", figure(first.accuracy, ".1%"), figure(second.accuracy, ".1%")],
    ]
    rows += [
        [f"recall of {name}", figure(recall, ".1%"), figure(second.recall.get(name), ".1%")]
        for name, recall in first.recall.items()
    ]
    note = (
        f"Images that only one of them classifies correctly: {found.only_first} (base), "
        f"{found.only_second} (run); McNemar's exact test: p = {found.p_value:.3g}."
    )
    return Table("Accuracy", columns, rows, note=note)


def _stalls(comparison: Comparison) -> Iterator[Section]:
    if not comparison.stalls:
        return
    columns = [
        Column("run"),
        Column("stall of the base [95 %]", numeric=True),
        Column("stall of the run [95 %]", numeric=True),
        Column("difference [95 %]", numeric=True),
        Column("bottleneck of the base"),
        Column("bottleneck of the run"),
    ]
    rows: list[list[Cell]] = [
        [
            comparison.runs[one.run].name,
            figure(one.base, ".1%"),
            figure(one.other, ".1%"),
            figure(one.difference, "+.1%"),
            one.base_bottleneck,
            one.other_bottleneck,
        ]
        for one in comparison.stalls
    ]
    yield Section("Stall", [Table("Stalls", columns, rows)], "stalls")


def _conditions(comparison: Comparison) -> Iterator[Section]:
    parts: list[Part] = [Text(note, "warning") for note in comparison.notes]
    several = len(comparison.runs) > 2
    for one in comparison.differences:
        run = f"{comparison.runs[one.run].name}: " if several else ""
        parts.append(Text(f"{run}{difference_text(one)}", "warning"))
    if comparison.unpaired:
        parts.append(_unpaired(comparison))
    if parts:
        yield Section("What else differs", parts, "conditions")


def _unpaired(comparison: Comparison) -> Table:
    columns = [
        Column("only in"),
        Column("loader and settings, or part"),
        Column("images/s [95 %]", numeric=True),
    ]
    rows: list[list[Cell]] = [
        [
            comparison.runs[0 if one.is_in_base else one.run].name,
            one.name,
            figure(one.images_per_second),
        ]
        for one in comparison.unpaired
    ]
    return Table("Without a partner", columns, rows)


def _runs(comparison: Comparison) -> Iterator[Part]:
    columns = [
        Column("run"),
        Column("command"),
        Column("measured"),
        Column("winner"),
    ]
    rows: list[list[Cell]] = [
        [
            run.name if index else f"{run.name} (base)",
            run.command,
            run.measured,
            run.winner,
        ]
        for index, run in enumerate(comparison.runs)
    ]
    yield without_empty_columns("Runs", columns, rows, frozenset({0}))
    if not comparison.is_paired:
        paths = [run.path for run in comparison.runs]
        yield Code(join(["feedbench", "compare", *paths]), "Compare again")
