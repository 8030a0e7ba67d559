"""Diagnoses a loader, keeps the record, draws and prints it; for several commands."""

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
    """Test the harness, measure, keep and show."""
    from feedbench.bench.diagnose.measure import diagnose as measured
    from feedbench.bench.diagnose.record import RECORD
    from feedbench.bench.diagnose.selftest import short_test
    from feedbench.bench.environment import environment
    from feedbench.bench.files import write_json, write_model

    terminal, tested = console(), short_test()
    write_json(folder / "environment.json", environment())
    if not tested.passed:
        show_test(terminal, tested)

    def say(text: str) -> None:
        terminal.print(text, style="dim", highlight=False)

    record = measured(plan, manifest, folder, say, timing)
    record = record.model_copy(update={"self_test": tested.model_dump()})
    write_model(folder / RECORD, record)
    show_diagnosis(terminal, record, folder, json)


def show_diagnosis(
    terminal: Console, record: DiagnosisRecord, folder: Path, json: Path | None
) -> None:
    """Derive, draw, keep and print."""
    from feedbench.bench.diagnose.verdict import derive_diagnosis
    from feedbench.bench.diagnose.waterfall import draw_waterfall
    from feedbench.bench.files import write_json

    found = derive_diagnosis(record)
    for path in filter(None, (folder / "diagnosis.json", json)):
        write_json(path, found.model_dump())
    draw_waterfall(found, folder / "waterfall.png", _headline(record))
    pictures = ["waterfall.png", *_keep_timeline(record, folder)]
    print_diagnosis(terminal, record, found)
    said = f"Records, {', '.join(pictures)}: {folder}"
    terminal.print(said, highlight=False, soft_wrap=True)
    if found.bottleneck is None:
        raise typer.Exit(NOTHING_DONE)


def _keep_timeline(record: DiagnosisRecord, folder: Path) -> list[str]:
    """The blocks end to end as a picture and as a trace; the files' names."""
    from feedbench.bench.files import write_text
    from feedbench.bench.report.timeline import draw_timeline
    from feedbench.bench.report.trace import trace_text

    blocks = next(part.blocks for part in record.parts if part.name == "end to end")
    if not blocks:
        return []
    title = f"{_headline(record)}, end to end"
    draw_timeline(blocks, folder / "timeline.png", title)
    write_text(folder / "trace.json", trace_text({title: blocks}))
    return ["timeline.png", "trace.json"]


def print_diagnosis(terminal: Console, record: DiagnosisRecord, found: Diagnosis) -> None:
    """Print ceilings, predictions, notes and the verdict."""
    from feedbench.bench.diagnose.notes import notes
    from feedbench.bench.diagnose.table import ceilings_table, nodes_table, predictions_table

    terminal.print(_headline(record), highlight=False, markup=False)
    terminal.print(ceilings_table(found))
    if found.predictions:
        terminal.print(predictions_table(found))
    if record.autotuned:
        terminal.print(nodes_table(record.autotuned))
    for line in notes(record, found):
        terminal.print(line, highlight=False, markup=False)
    terminal.print(found.verdict, style="bold", highlight=False, markup=False)


def _headline(record: DiagnosisRecord) -> str:
    from feedbench.bench.diagnose.verdict import consumer_name
    from feedbench.bench.plan.plan import Choice

    spec = record.spec
    return (
        f"{Choice(loader=record.loader, settings=record.settings)} → {spec['image_size']} px, "
        f"batch {spec['batch_size']} → {consumer_name(record)}, {record.cache_state} files"
    )


def show_test(terminal: Console, found: SelfTest) -> None:
    """A line a check."""
    for check in found.checks:
        word = "passed" if check.passed else "FAILED"
        terminal.print(
            f"{word}: {check.name}: {check.measured} (expected: {check.expected})",
            style="" if check.passed else "red",
            highlight=False,
        )
