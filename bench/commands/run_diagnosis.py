"""Diagnoses a loader and saves, plots and prints the result, for several commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from feedbench.bench.commands.output import console
from feedbench.bench.errors import NOTHING_DONE

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from feedbench.bench.diagnose.record import DiagnosisRecord
    from feedbench.bench.diagnose.selftest import SelfTest
    from feedbench.bench.diagnose.setup import DiagnosisPlan, DiagnosisTiming
    from feedbench.bench.diagnose.verdict import Diagnosis
    from feedbench.loaders import Manifest


def run_diagnosis(
    plan: DiagnosisPlan,
    manifest: Manifest,
    folder: Path,
    timing: DiagnosisTiming,
    json: Path | None,
) -> None:
    """Run the short self-test, measure, save and print the result.

    Args:
        json: also save the diagnosis to this file.

    Raises:
        typer.Exit: the loader could not be measured.
    """
    from feedbench.bench.diagnose.measure import diagnose as measure
    from feedbench.bench.diagnose.record import RECORD
    from feedbench.bench.diagnose.selftest import short_test
    from feedbench.bench.environment import environment
    from feedbench.bench.files import write_json, write_model

    terminal, progress, self_test = console(), console(to_errors=True), short_test()
    write_json(folder / "environment.json", environment())
    if not self_test.passed:
        print_self_test(terminal, self_test)

    def print_progress(text: str) -> None:
        progress.print(text, style="dim", highlight=False)

    record = measure(plan, manifest, folder, print_progress, timing)
    record = record.model_copy(update={"self_test": self_test.model_dump()})
    write_model(folder / RECORD, record)
    show_diagnosis(terminal, record, folder, json)


def show_diagnosis(
    terminal: Console, record: DiagnosisRecord, folder: Path, json: Path | None
) -> None:
    """Derive the diagnosis from the record; save, plot and print it."""
    from feedbench.bench.diagnose.verdict import derive_diagnosis
    from feedbench.bench.diagnose.waterfall import draw_waterfall
    from feedbench.bench.files import write_json

    diagnosis = derive_diagnosis(record)
    for path in filter(None, (folder / "diagnosis.json", json)):
        write_json(path, diagnosis.model_dump())
    draw_waterfall(diagnosis, folder / "waterfall.png", _headline(record))
    files = ["waterfall.png", *_write_timeline(record, folder)]
    print_diagnosis(terminal, record, diagnosis)
    terminal.print(f"Records, {', '.join(files)}: {folder}", highlight=False, soft_wrap=True)
    if diagnosis.bottleneck is None:
        raise typer.Exit(NOTHING_DONE)


def _write_timeline(record: DiagnosisRecord, folder: Path) -> list[str]:
    """Save the end-to-end blocks as a plot and as a trace, and return the names of the files."""
    from feedbench.bench.diagnose.subject import diagnosed
    from feedbench.bench.files import write_text
    from feedbench.bench.report.timeline import draw_timeline
    from feedbench.bench.report.trace import trace_text

    blocks = next(part.blocks for part in record.parts if part.name == "end to end")
    if not blocks:
        return []
    draw_timeline(blocks, folder / "timeline.png", diagnosed(record))
    title = f"{_headline(record)}, end to end"
    write_text(folder / "trace.json", trace_text({title: blocks}))
    return ["timeline.png", "trace.json"]


def print_diagnosis(terminal: Console, record: DiagnosisRecord, diagnosis: Diagnosis) -> None:
    """Print the ceilings, the predictions, the notes and the verdict."""
    from feedbench.bench.diagnose.notes import notes
    from feedbench.bench.diagnose.table import ceilings_table, nodes_table, predictions_table
    from feedbench.bench.diagnose.tf_graph.table import mistake_lines, stages_table

    terminal.print(_headline(record), highlight=False, markup=False)
    terminal.print(ceilings_table(diagnosis))
    if diagnosis.predictions:
        terminal.print(predictions_table(diagnosis))
    if record.autotuned:
        terminal.print(nodes_table(record.autotuned))
    if record.observed and record.observed.graph:
        terminal.print(stages_table(record.observed.graph))
    if diagnosis.mistakes:
        for line in mistake_lines(diagnosis.mistakes):
            terminal.print(line, highlight=False, markup=False, soft_wrap=True)
    for line in notes(record, diagnosis):
        terminal.print(line, highlight=False, markup=False)
    terminal.print()
    terminal.print(diagnosis.verdict, style="bold", highlight=False, markup=False)


def _headline(record: DiagnosisRecord) -> str:
    from feedbench.bench.diagnose.verdict import consumer_name
    from feedbench.bench.plan.plan import Choice

    spec = record.spec
    return (
        f"{Choice(loader=record.loader, settings=record.settings)} → {spec['image_size']} px, "
        f"batch {spec['batch_size']} → {consumer_name(record)}, {record.cache_state} files"
    )


def print_self_test(terminal: Console, self_test: SelfTest) -> None:
    """Print one line per check."""
    for check in self_test.checks:
        word = "passed" if check.passed else "FAILED"
        terminal.print(
            f"{word}: {check.name}: {check.measured} (expected: {check.expected})",
            style="" if check.passed else "red",
            highlight=False,
        )
