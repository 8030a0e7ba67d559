"""Diagnoses a loader and saves, plots and prints the result, for several commands."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from feedbench.bench.commands.output import console, print_parts, show_hint
from feedbench.bench.errors import NOTHING_DONE, InterruptedRun

if TYPE_CHECKING:
    from pathlib import Path

    from feedbench.bench.diagnose.checks import SelfTest
    from feedbench.bench.diagnose.events import DiagnosisEvent
    from feedbench.bench.diagnose.record import DiagnosisRecord
    from feedbench.bench.diagnose.setup import DiagnosisPlan, DiagnosisTiming
    from feedbench.bench.diagnose.verdict import Diagnosis
    from feedbench.bench.report.tensorboard import Logs
    from feedbench.bench.report.terminal import Terminal
    from feedbench.loaders import Manifest


_NOT_TRUSTED = (
    "Figures measured now are not reliable, most often because other programs use the cores: "
    "repeat the diagnosis when they do not."
)


def run_diagnosis(
    plan: DiagnosisPlan,
    manifest: Manifest,
    folder: Path,
    timing: DiagnosisTiming,
    json: Path | None,
    *,
    tensorboard: bool,
) -> None:
    """Run the short self-test, measure, save and print the result.

    Args:
        json: also save the diagnosis to this file.
        tensorboard: whether to write logs for TensorBoard.

    Raises:
        InterruptedRun: Ctrl-C; what was measured is saved and printed.
        typer.Exit: the loader could not be measured well enough, or the self-test failed.
    """
    from feedbench.bench.diagnose.record import RECORD
    from feedbench.bench.files import removed_if_nothing_kept
    from feedbench.bench.report.tensorboard import Logs

    logs = Logs(folder) if tensorboard else None
    try:
        with removed_if_nothing_kept(folder, but_for=RECORD):
            can_be_trusted = _measure_and_show(plan, manifest, folder, timing, json, logs)
    except (KeyboardInterrupt, InterruptedRun):
        if not (folder / RECORD).exists():
            raise
        raise InterruptedRun(
            f"interrupted; what was measured is in {folder}; {show_hint(folder)}"
        ) from None
    console().print(f"Records: {folder}", highlight=False, soft_wrap=True)
    if not can_be_trusted:
        raise typer.Exit(NOTHING_DONE)


def _measure_and_show(
    plan: DiagnosisPlan,
    manifest: Manifest,
    folder: Path,
    timing: DiagnosisTiming,
    json: Path | None,
    logs: Logs | None,
) -> bool:
    """Run the self-test, measure, save and print the result; return whether it can be trusted.

    Raises:
        InterruptedRun: Ctrl-C ended the measurements early.
    """
    from feedbench.bench.diagnose.record import RECORD
    from feedbench.bench.diagnose.selftest import short_test
    from feedbench.bench.diagnose.table import part_runs
    from feedbench.bench.environment import environment
    from feedbench.bench.files import write_json, write_model
    from feedbench.bench.signals import interrupts_deferred

    terminal = console()
    console(to_errors=True).print("self-test first, about 6 s", style="dim")
    self_test = short_test()
    write_json(folder / "environment.json", environment())
    if not self_test.passed:
        print_self_test(terminal, self_test)
    record, interruption = _measure(plan, manifest, folder, timing, logs)
    with interrupts_deferred():
        record = record.model_copy(update={"self_test": self_test.model_dump()})
        write_model(folder / RECORD, record)
        diagnosis = save_diagnosis(record, folder, json)
        if logs is not None:
            logs.finish(part_runs(record.parts))
    print_diagnosis(terminal, record, diagnosis)
    if interruption is not None:
        raise interruption
    return self_test.passed and diagnosis.bottleneck is not None


def _measure(
    plan: DiagnosisPlan,
    manifest: Manifest,
    folder: Path,
    timing: DiagnosisTiming,
    logs: Logs | None,
) -> tuple[DiagnosisRecord, InterruptedRun | None]:
    """Measure all parts; return the record, and Ctrl-C if that ended it early.

    Args:
        logs: take each block as soon as it is timed.
    """
    from feedbench.bench.diagnose.measure import diagnose
    from feedbench.bench.diagnose.progress import diagnosis_progress
    from feedbench.bench.diagnose.record import RECORD, read_diagnosis
    from feedbench.bench.diagnose.table import part_run

    try:
        with diagnosis_progress(console(to_errors=True), timing) as report:

            def on_event(event: DiagnosisEvent) -> None:
                report(event)
                if logs is not None and event.kind == "timed" and event.part is not None:
                    logs.add(part_run(event.record.parts.index(event.part) + 1, event.part))

            return diagnose(plan, manifest, folder, on_event, timing), None
    except InterruptedRun as interruption:
        return read_diagnosis(folder / RECORD), interruption


def save_diagnosis(record: DiagnosisRecord, folder: Path, json: Path | None) -> Diagnosis:
    """Derive the diagnosis from the record; save it, and its plots if both were timed together."""
    from feedbench.bench.diagnose.table import headline
    from feedbench.bench.diagnose.verdict import derive_diagnosis
    from feedbench.bench.diagnose.waterfall import draw_waterfall
    from feedbench.bench.files import write_result

    diagnosis = derive_diagnosis(record)
    for path in filter(None, (folder / "diagnosis.json", json)):
        write_result(path, diagnosis.model_dump())
    if any(part.name == "end to end" and part.blocks for part in record.parts):
        draw_waterfall(diagnosis, folder / "waterfall.png", headline(record))
        _write_timeline(record, folder)
    return diagnosis


def _write_timeline(record: DiagnosisRecord, folder: Path) -> None:
    """Save the end-to-end blocks as a plot and as a trace."""
    from feedbench.bench.diagnose.subject import diagnosed, end_to_end, track_name
    from feedbench.bench.files import write_text
    from feedbench.bench.report.timeline import draw_timeline
    from feedbench.bench.report.trace import trace_text

    blocks = end_to_end(record)
    draw_timeline(blocks, folder / "timeline.png", diagnosed(record))
    write_text(folder / "trace.json", trace_text({track_name(record): blocks}))


def print_diagnosis(terminal: Terminal, record: DiagnosisRecord, diagnosis: Diagnosis) -> None:
    """Print the ceilings, the predictions, the notes and the verdict."""
    from feedbench.bench.diagnose.table import parts

    print_parts(terminal, parts(record, diagnosis))


def print_self_test(terminal: Terminal, self_test: SelfTest) -> None:
    """Print one line per check."""
    for check in self_test.checks:
        word = "passed" if check.passed else "FAILED"
        terminal.print(
            f"{word}: {check.name}: {check.measured} (expected: {check.expected})",
            style="" if check.passed else "red",
            highlight=False,
        )
    if not self_test.passed:
        terminal.print(_NOT_TRUSTED, style="red")
