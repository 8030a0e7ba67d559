"""scan: lists the images of a source and checks every file with every decoder."""

from __future__ import annotations

import sys
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from feedbench.bench.commands.options import Blacklist, Data, Json, listing_progress, writable_file
from feedbench.bench.commands.output import console, print_parts

if TYPE_CHECKING:
    from feedbench.bench.report.terminal import Terminal
    from feedbench.loaders import Manifest


def scan(
    data: Data,
    bad: Annotated[
        bool,
        typer.Option(
            "--bad",
            help="Print the files that cannot be read as a CSV of path,use,reason, for editing and "
            "--blacklist.",
        ),
    ] = False,
    blacklist: Blacklist = None,
    time_limit: Annotated[
        float, typer.Option(help="Time limit per file in seconds.", min=0.1)
    ] = 20.0,
    pixel_limit: Annotated[
        int | None,
        typer.Option(help="Largest image that is decoded, in pixels (width times height).", min=1),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(help="Save the manifest as Parquet.", callback=writable_file("--out")),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice of held-out images.", min=0)] = 0,
    validation: Annotated[
        float, typer.Option(help="Fraction held out for validation, if the source has no splits.")
    ] = 0.1,
    test: Annotated[
        float, typer.Option(help="Fraction held out for testing, if the source has no splits.")
    ] = 0.1,
    json: Json = None,
) -> None:
    """The result is saved: later scans read only new and changed files, and runs use it."""
    from feedbench.bench.data.scan_report import report
    from feedbench.bench.files import write_result
    from feedbench.loaders import bad_rows, blacklist_of, with_blacklist
    from feedbench.loaders import scan as scan_source
    from feedbench.loaders.audit import ProbeLimits

    limits = ProbeLimits(seconds=time_limit)
    if pixel_limit is not None:
        limits = ProbeLimits(pixel_limit, time_limit)
    with listing_progress(data) as on_listed:
        manifest = scan_source(
            data, seed=seed, validation=validation, test=test, on_listed=on_listed
        )
    terminal = console(to_errors=bad)
    manifest = _audited(manifest, data, limits)
    if blacklist is not None:
        manifest = with_blacklist(manifest, blacklist)
    if out is not None:
        manifest.write(out)
    scan_report = report(manifest)
    if json is not None:
        write_result(json, scan_report)
    if bad:
        sys.stdout.buffer.write(blacklist_of(bad_rows(manifest)).encode("utf-8", "surrogateescape"))
    else:
        _print_report(terminal, scan_report, data)


def _audited(manifest: Manifest, data: str, limits: Any) -> Manifest:
    from feedbench.bench.errors import InterruptedRun
    from feedbench.bench.report.progress import scan_progress
    from feedbench.loaders import usable_cores
    from feedbench.loaders.audit import Store, audit

    try:
        with scan_progress(console(to_errors=True)) as start:
            return audit(manifest, Store.of(data), limits, processes=usable_cores(), start=start)
    except KeyboardInterrupt:
        raise InterruptedRun(
            f"interrupted; the files read so far are saved; to resume: feedbench scan {quote(data)}"
        ) from None


def _print_report(terminal: Terminal, scan_report: dict[str, Any], data: str) -> None:
    from feedbench.bench.data.scan_table import parts

    print_parts(terminal, parts(scan_report))
    if sum(scan_report["unreadable"].values()) > scan_report["unread"]:
        terminal.print(
            f"Runs leave out unreadable images; list them with feedbench scan {quote(data)} --bad",
            highlight=False,
            markup=False,
            soft_wrap=True,
        )
