"""The report of a diagnosis."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from feedbench.bench.accelerator import Accelerator
from feedbench.bench.analysis.device import step_seconds
from feedbench.bench.consumers.device import devices_option
from feedbench.bench.diagnose.ceilings import Ceiling, with_proven_blocks
from feedbench.bench.diagnose.notes import notes
from feedbench.bench.diagnose.record import RECORD, DiagnosisRecord
from feedbench.bench.diagnose.record import Part as MeasuredPart
from feedbench.bench.diagnose.table import label
from feedbench.bench.diagnose.verdict import Diagnosis, consumer_name, headline
from feedbench.bench.html.charts.dots import Line, dot_of
from feedbench.bench.html.kinds.cells import MB, Field, dots_chart, figure, number, table_of
from feedbench.bench.html.kinds.commands import (
    choice_options,
    model_options,
    repeat_section,
    repeated_diagnosis,
    spec_options,
)
from feedbench.bench.html.kinds.environment import environment_section
from feedbench.bench.html.kinds.over_time import DECIMATED, Shown, over_time
from feedbench.bench.html.kinds.pipeline import change_to_make, mistakes_section, stages_section
from feedbench.bench.html.kinds.samples import blocks_table
from feedbench.bench.html.kinds.stall import OVERLAP, stall_chart
from feedbench.bench.html.kinds.what_if import what_if
from feedbench.bench.html.parts import Chart, Details, Headline, Part, Report, Section, Text
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import CacheState
from feedbench.bench.results.kinds import DiagnosisResult
from feedbench.loaders import DEFAULT_LOADER

_WHOLE = "end to end"
_NOT_PASSED = (_WHOLE, "rewritten", "fixed", "reference", "loader, other size")


def report_of_diagnose(result: DiagnosisResult) -> Report:
    """Return the report of a diagnosis: what to change, the stall and its causes, predictions."""
    record, diagnosis, folder = result.record, result.diagnosis, result.path.parent
    stages, is_own = list(stages_section(record)), record.own is not None
    sections = [
        *mistakes_section(diagnosis.mistakes),
        *(stages if is_own else ()),
        Section("Where the time goes", list(_stall(record, diagnosis)), "stall"),
        *what_if(diagnosis),
        *(() if is_own else stages),
        Section("Each part alone", list(_ceilings(record, diagnosis)), "parts"),
        *_over_time(record),
        Section("Notes", [Text(line) for line in notes(record, diagnosis)], "notes"),
        *_self_test(record),
        Section("Raw samples", _samples(record.parts), "samples"),
        environment_section(folder, record),
        repeat_section(folder, repeated_diagnosis(record)),
    ]
    loader = Choice(loader=record.loader, settings=record.settings)
    title = f"Diagnosis of {loader} with {consumer_name(record)}"
    headline = Headline(diagnosis.verdict, _next_step(record, diagnosis))
    return Report(title, headline, sections)


def _next_step(record: DiagnosisRecord, diagnosis: Diagnosis) -> str | None:
    """Return what to write, or the command that looks for a faster loader; None if none helps."""
    if change := change_to_make(diagnosis.mistakes):
        return change
    if diagnosis.bottleneck is None or diagnosis.bottleneck.cause in ("accelerator", "transfer"):
        return None
    command = "tune"
    loaders: list[str] = []
    if record.own is not None:
        command = "bench"
        own = choice_options(record.loader, record.settings)
        loaders = [*own, "--loader", DEFAULT_LOADER]
    conditions = [*spec_options(record.spec), *model_options(record.recipe)]
    consumer = ["--consumer", record.consumer]
    if command == "bench":  # tune trains on one device
        consumer += devices_option(record.devices)
    return shlex.join(["feedbench", command, "DATA", *loaders, *consumer, *conditions])


def _stall(record: DiagnosisRecord, diagnosis: Diagnosis) -> Iterator[Part]:
    yield Text(headline(record))
    if chart := stall_chart(record, diagnosis):
        yield chart
        yield Text(OVERLAP, "note")


def _ceilings(record: DiagnosisRecord, diagnosis: Diagnosis) -> Iterator[Part]:
    if chart := _ceilings_chart(record, diagnosis):
        yield chart
    yield table_of("Ceilings", _FIELDS, diagnosis.ceilings, lambda one: one.name == _WHOLE)


def _ceilings_chart(record: DiagnosisRecord, diagnosis: Diagnosis) -> Chart | None:
    timed = [one for one in diagnosis.ceilings if one.images_per_second is not None]
    shown = sorted(_fastest_reads(timed), key=lambda one: one.name == _WHOLE)  # that comes last
    rows = [
        dot_of(label(one), rate, ",.0f", "marked" if one.name == _WHOLE else "plain")
        for one in shown
        if (rate := one.images_per_second)
    ]
    if not rows:
        return None
    needed = [one for one in shown if _is_needed(one, record.cache_state)]
    slowest = min(needed or shown, key=_rate)
    whole = diagnosis.end_to_end
    return dots_chart(
        f"Slowest alone: {label(slowest)}, {_rate(slowest):,.0f} images/s",
        "Images per second of each part with everything else taken away; of storage, the fastest "
        "number of concurrent reads.",
        rows,
        "images per second, each part alone",
        [Line(whole, f"end to end: {whole:,.0f}")] if whole else [],
    )


def _is_needed(one: Ceiling, state: CacheState) -> bool:
    """Whether the images of the diagnosed run pass a part; not so for other settings or states."""
    return one.name not in _NOT_PASSED and one.cache_state in (None, state)


def _fastest_reads(timed: Sequence[Ceiling]) -> list[Ceiling]:
    """Return the parts, of storage only the fastest number of reads in each cache state."""
    best: dict[str, Ceiling] = {}
    for one in timed:
        key = f"storage, {one.cache_state}" if one.name == "storage" else label(one)
        best[key] = max(best.get(key, one), one, key=_rate)
    return list(best.values())


def _rate(one: Ceiling) -> float:
    return one.images_per_second.value if one.images_per_second else 0.0


_FIELDS: list[Field[Ceiling]] = [
    Field("part alone", label),
    Field(
        "images/s [95 %]",
        lambda one: figure(one.images_per_second),
        "median over the blocks, with its interval",
    ),
    Field(
        "MB/s",
        lambda one: number(one.bytes_per_second, ",.0f", scale=MB),
        "bytes read or moved",
    ),
    Field("CPU cores", lambda one: number(one.cores), "in use, on average"),
    Field("blocks", lambda one: one.blocks, "that count"),
    Field(
        "not counted",
        lambda one: len(one.unproven) or None,
        "blocks whose cache state is not proven",
    ),
    Field("could not be measured", lambda one: one.error),
]


def _over_time(record: DiagnosisRecord) -> Iterator[Section]:
    """Yield the blocks end to end, whose waits are what the diagnosis explains."""
    for part in record.parts:
        if part.name == _WHOLE and (chart := over_time(part.blocks, _shown(record))):
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
        else f"Before the diagnosis, all {len(checks)} known delays and counts were correct."
    )
    parts: list[Part] = [
        Text(text, "error" if failed else "plain"),
        table_of("Checks", _CHECK_FIELDS, checks),
    ]
    yield Section("Self-test", parts, "self-test")


_CHECK_FIELDS: list[Field[dict[str, Any]]] = [
    Field("check", lambda one: one["name"]),
    Field("expected", lambda one: one["expected"]),
    Field("measured", lambda one: one["measured"]),
    Field("result", lambda one: "passed" if one["passed"] else "FAILED"),
]


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
