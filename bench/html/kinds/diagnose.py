"""The report of a diagnosis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from feedbench.bench.accelerator import Accelerator
from feedbench.bench.analysis.device import step_seconds
from feedbench.bench.diagnose.ceilings import Ceiling, with_proven_blocks
from feedbench.bench.diagnose.notes import notes
from feedbench.bench.diagnose.record import RECORD, DiagnosisRecord
from feedbench.bench.diagnose.record import Part as MeasuredPart
from feedbench.bench.diagnose.table import label
from feedbench.bench.diagnose.verdict import Diagnosis, consumer_name, headline
from feedbench.bench.html.charts.dots import Dot, Line, dots
from feedbench.bench.html.kinds.cells import (
    MB,
    dots_table,
    figure,
    first_sentence,
    listed,
    number,
    without_empty_columns,
)
from feedbench.bench.html.kinds.commands import repeat_command, repeat_section
from feedbench.bench.html.kinds.environment import environment_section
from feedbench.bench.html.kinds.over_time import DECIMATED, Shown, over_time
from feedbench.bench.html.kinds.pipeline import pipeline_sections
from feedbench.bench.html.kinds.samples import blocks_table
from feedbench.bench.html.kinds.stall import OVERLAP, stall_chart
from feedbench.bench.html.kinds.what_if import what_if
from feedbench.bench.html.parts import (
    Cell,
    Chart,
    Code,
    Column,
    Details,
    Headline,
    Part,
    Report,
    Section,
    Table,
    Text,
)
from feedbench.bench.plan.plan import Choice
from feedbench.bench.results.kinds import DiagnosisResult


def report_of_diagnose(result: DiagnosisResult) -> Report:
    """Return the report of a diagnosis: the stall and its causes, and what would change it."""
    record, diagnosis, folder = result.record, result.diagnosis, result.path.parent
    command = Code(repeat_command(record, "diagnose"), "Diagnose again")
    sentence, more = first_sentence(diagnosis.verdict)
    sections = [
        Section("Where the time goes", [*more, *_stall(record, diagnosis)], "stall"),
        *what_if(diagnosis),
        *pipeline_sections(record, diagnosis),
        Section("Each part alone", list(_ceilings(diagnosis)), "parts"),
        *_over_time(record),
        Section("Notes", [Text(line) for line in notes(record, diagnosis)], "notes"),
        *_self_test(record),
        Section("Raw samples", _samples(record.parts), "samples"),
        environment_section(folder, record),
        repeat_section(folder, [command]),
    ]
    loader = Choice(loader=record.loader, settings=record.settings)
    title = f"Diagnosis of {loader} with {consumer_name(record)}"
    return Report(title, Headline(sentence, _try_next(record, diagnosis)), sections)


def _try_next(record: DiagnosisRecord, diagnosis: Diagnosis) -> str | None:
    """Return the command that looks for a faster loader, if time is lost in the loader."""
    if diagnosis.bottleneck is None or diagnosis.bottleneck.cause in ("accelerator", "transfer"):
        return None
    return f"feedbench tune DATA --consumer {record.consumer}"


def _stall(record: DiagnosisRecord, diagnosis: Diagnosis) -> Iterator[Part]:
    yield Text(headline(record))
    if chart := stall_chart(record, diagnosis):
        yield chart
        yield Text(OVERLAP, "note")


def _ceilings(diagnosis: Diagnosis) -> Iterator[Part]:
    if chart := _ceilings_chart(diagnosis):
        yield chart
    yield _ceilings_table(diagnosis)


def _ceilings_chart(diagnosis: Diagnosis) -> Chart | None:
    timed = [(one, one.images_per_second) for one in diagnosis.ceilings]
    rows = [
        Dot(
            label(one),
            rate.value,
            f"{rate:,.0f}",
            rate.low,
            rate.high,
            "marked" if one.name == "end to end" else "plain",
        )
        for one, rate in timed
        if rate is not None
    ]
    rows.sort(key=lambda row: row.role == "marked")  # end to end last
    if not rows:
        return None
    slowest = min(rows[:-1] or rows, key=lambda row: row.value)
    rate = diagnosis.end_to_end
    lines = [Line(rate, f"end to end: {rate:,.0f}")] if rate else []
    return Chart(
        f"Slowest alone: {slowest.name}, {slowest.value:,.0f} images/s",
        f"Images per second of each part with everything else taken away. {listed(rows)}",
        dots(rows, "images per second, each part alone", lines, zero=False),
        table=dots_table("Parts", "images/s [95 %]", rows),
    )


def _ceilings_table(diagnosis: Diagnosis) -> Table:
    columns = [
        Column("part alone"),
        Column("images/s [95 %]", "median over the blocks, with its interval", numeric=True),
        Column("MB/s", "bytes read or moved", numeric=True),
        Column("CPU cores", "in use, on average", numeric=True),
        Column("blocks", "that count", numeric=True),
        Column("not counted", "blocks whose cache state is not proven", numeric=True),
        Column("could not be measured"),
    ]
    rows = [_ceiling_cells(one) for one in diagnosis.ceilings]
    marked = frozenset(
        index for index, one in enumerate(diagnosis.ceilings) if one.name == "end to end"
    )
    return without_empty_columns("Ceilings", columns, rows, marked)


def _ceiling_cells(one: Ceiling) -> list[Cell]:
    return [
        label(one),
        figure(one.images_per_second),
        number(one.bytes_per_second, ",.0f", scale=MB),
        number(one.cores),
        one.blocks,
        len(one.unproven) or None,
        one.error or "",
    ]


def _over_time(record: DiagnosisRecord) -> Iterator[Section]:
    """Yield the blocks end to end, whose waits are what the diagnosis explains."""
    for part in record.parts:
        if part.name == "end to end" and (chart := over_time(part.blocks, _shown(record))):
            yield Section("Over time, end to end", [chart, DECIMATED], "time")
            return


def _shown(record: DiagnosisRecord) -> Shown:
    name = str(Choice(loader=record.loader, settings=record.settings))
    if record.accelerator is None:
        return Shown(name)
    profile = Accelerator.model_validate(record.accelerator)
    return Shown(name, step_s=partial(step_seconds, profile, record.spec["image_size"]))


def _self_test(record: DiagnosisRecord) -> Iterator[Section]:
    checks = (record.self_test or {}).get("checks", [])
    if not checks:
        return
    failed = sum(not check["passed"] for check in checks)
    text = (
        f"{failed} of {len(checks)} checks failed: do not trust this diagnosis."
        if failed
        else f"Before the diagnosis, all {len(checks)} known delays and counts were measured right."
    )
    columns = [Column("check"), Column("expected"), Column("measured"), Column("result")]
    rows: list[list[Cell]] = [
        [one["name"], one["expected"], one["measured"], "passed" if one["passed"] else "FAILED"]
        for one in checks
    ]
    parts: list[Part] = [Text(text, "error" if failed else "plain"), Table("Checks", columns, rows)]
    yield Section("Self-test", parts, "self-test")


def _samples(parts: Sequence[MeasuredPart]) -> list[Part]:
    tables: list[Part] = [
        Details(_part_name(part), [blocks_table(with_proven_blocks(part).blocks)])
        for part in parts
        if with_proven_blocks(part).blocks
    ]
    return [*tables, Text(f"Every wait and every step of these blocks is in {RECORD}.", "note")]


def _part_name(part: MeasuredPart) -> str:
    facts = part.model_dump(include={"name", "cache_state", "parallel", "mistake", "settings"})
    return label(Ceiling.model_validate(facts))
