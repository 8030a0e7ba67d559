"""show: prints the tables of an earlier run, derived from its record."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import console, print_parts
from feedbench.bench.commands.over_time import write_over_time
from feedbench.bench.errors import NOTHING_DONE, PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from feedbench.bench.report.document import Part, TableData
    from feedbench.bench.results.find import Kind
    from feedbench.bench.results.kinds import Result


def show(
    result: Annotated[
        Path, typer.Argument(help="The folder of a run, or one file with its record.")
    ],
    wide: Annotated[
        bool,
        typer.Option("--wide", help="Show all columns of the tables, however narrow the terminal."),
    ] = False,
    markdown: Annotated[
        bool, typer.Option("--markdown", help="Print tables and texts as Markdown.")
    ] = False,
    csv: Annotated[
        bool,
        typer.Option(
            "--csv",
            help="Print one table as CSV: the first, or that of --table. Figures are not rounded, "
            "and the ends of intervals have their own columns.",
        ),
    ] = False,
    table: Annotated[
        str | None,
        typer.Option(help="Print only the table of this name; a wrong name lists them."),
    ] = None,
    pytest_benchmark: Annotated[
        Path | None,
        typer.Option(
            help="Also save a bench or limits run for pytest-benchmark compare, as JSON: seconds "
            "per image of each block, so that OPS are images per second.",
            dir_okay=False,
        ),
    ] = None,
    timeline: Annotated[
        Path | None,
        typer.Option(
            help="Also plot waits, steps and meters of one trial of a trials.jsonl over time, as "
            "PNG or SVG.",
            dir_okay=False,
        ),
    ] = None,
    trial: Annotated[
        int | None,
        typer.Option(
            help="Number of the trial to plot, its line in trials.jsonl; by default the winner, or "
            "the first trial with a timed block.",
            min=1,
        ),
    ] = None,
    trace: Annotated[
        Path | None,
        typer.Option(
            help="Also save all trials of a trials.jsonl as a trace for ui.perfetto.dev, as JSON.",
            dir_okay=False,
        ),
    ] = None,
    json: Json = None,
) -> None:
    """Reads the results of every command that measures, and of FitMonitor.

    For a folder that holds several runs, they are listed.
    """
    from feedbench.bench.files import write_json
    from feedbench.bench.results.find import find_record, find_runs, find_saved, place_of, record_in

    written: list[Path] = []
    _check(trial, timeline, markdown=markdown, csv=csv)
    if record_in(result) is None and (runs := [*find_runs(result), *find_saved(result)]):
        if any(path is not None for path in (timeline, trace, pytest_benchmark)):
            place = place_of(runs[0][0])
            raise PlanError(f"{result}: holds several runs; give one of them: {place}")
        shown = _list_of(runs, result)
    else:
        path, kind = find_record(result)
        found = kind.read(path)
        if timeline is not None or trace is not None:
            written += write_over_time(found, timeline, trial, trace)
        if pytest_benchmark is not None:
            written.append(_write_for_pytest(pytest_benchmark, found))
        shown = _result(found, path)
    parts = shown.parts if table is None else [_find_table(shown.parts, table, result)]
    if json is not None:
        write_json(json, shown.values)
    _print(parts, wide=wide, markdown=markdown, csv=csv)
    for file in written:
        console(to_errors=True).print(f"Written: {file}", soft_wrap=True, highlight=False)
    if not shown.is_measured:
        raise typer.Exit(NOTHING_DONE)


class _Shown(NamedTuple):
    """What is printed, the same as JSON-compatible values, and whether anything was measured."""

    parts: Sequence[Part]
    values: Any
    is_measured: bool


def _list_of(runs: Sequence[tuple[Path, Kind]], folder: Path) -> _Shown:
    from feedbench.bench.report.document import Line
    from feedbench.bench.results.listing import listed, runs_table

    found = listed(runs)
    how = f"One of them: feedbench show {shlex.quote(str(found[-1].place))}"
    parts: list[Part] = [runs_table(found, folder), Line(how, form="whole")]
    return _Shown(parts, [run.values for run in found], is_measured=True)


def _result(found: Result, record: Path) -> _Shown:
    from feedbench.bench.environment import began_at
    from feedbench.bench.files import dated
    from feedbench.bench.results.parts import parts_of

    values = dated(found.values, began_at(record))
    return _Shown(list(parts_of(found)), values, found.is_measured)


def _write_for_pytest(path: Path, found: Result) -> Path:
    from feedbench.bench.files import write_json
    from feedbench.bench.results.pytest_benchmark import as_pytest_benchmark

    write_json(path, as_pytest_benchmark(found))
    return path


def _check(trial: int | None, timeline: Path | None, *, markdown: bool, csv: bool) -> None:
    """Check that options are given together, or apart, as they must be.

    Raises:
        PlanError: they are not.
    """
    if trial is not None and timeline is None:
        raise PlanError(f"--trial {trial}: chooses what --timeline draws; add --timeline FILE.png")
    if markdown and csv:
        raise PlanError("--markdown and --csv: give one of them")


def _tables(parts: Sequence[Part]) -> list[TableData[Any]]:
    from feedbench.bench.report.document import TableData

    return [part for part in parts if isinstance(part, TableData)]


def _find_table(parts: Sequence[Part], name: str, result: Path) -> TableData[Any]:
    """Return the table of this name.

    Raises:
        PlanError: the result has none.
    """
    tables = _tables(parts)
    for table in tables:
        if table.name == name:
            return table
    known = ", ".join(table.name for table in tables) or "none"
    raise PlanError(f"--table {name}: the tables of {result} are: {known}")


def _print(parts: Sequence[Part], *, wide: bool, markdown: bool, csv: bool) -> None:
    from feedbench.bench.report.csv_text import as_csv
    from feedbench.bench.report.markdown import as_markdown

    if csv:
        tables = _tables(parts)
        if not tables:
            raise PlanError("--csv: nothing was measured, so there is no table")
        sys.stdout.write(as_csv(tables[0]))
    elif markdown:
        sys.stdout.write(as_markdown(parts))
    else:
        print_parts(console(wide=wide), parts)
