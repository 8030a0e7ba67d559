"""report: earlier results as one HTML page that opens without a network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from feedbench.bench.commands.output import console
from feedbench.bench.errors import PlanError, RecordError

_MARK = b'<meta name="generator" content="Feedbench '
_MARK_WITHIN = 4096  # bytes
_OF_RECORDS = (".json", ".jsonl", ".toml")


def report(
    result: Annotated[
        list[Path],
        typer.Argument(
            help="Folders of runs, or files with their records; of a folder that holds several "
            "runs, all of them."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            help="The page to write. An earlier report is replaced, another file is not.",
            dir_okay=False,
        ),
    ] = Path("report.html"),
) -> None:
    r"""The page holds its charts, tables and raw samples, and makes no network requests.

    Needs the extra report: pip install 'feedbench\[report]'.
    """
    from feedbench.bench.files import write_text

    _refuse_other_file(out)
    text = _page(result)
    write_text(out, text)
    size = f"{len(text.encode()) / 1e6:.1f} MB"
    console().print(f"Written: {out} ({size}). Open it in a browser, or send it.", soft_wrap=True)


def _refuse_other_file(out: Path) -> None:
    """Refuse to replace a file that is not a report.

    Raises:
        RecordError: there is such a file, or it cannot be read.
    """
    if not out.parent.is_dir():
        raise RecordError(f"{out}: no folder {out.parent}; make it, or name another with --out")
    try:
        with out.open("rb") as file:
            is_report = _MARK in file.read(_MARK_WITHIN)
    except FileNotFoundError:
        return
    except OSError as error:
        raise RecordError(f"{out}: {error.strerror}; name another file with --out") from error
    if not is_report:
        raise RecordError(f"{out}: exists and is not a report; name another file with --out")


def _page(results: list[Path]) -> str:
    """Return the page about all results.

    Raises:
        RecordError: one of them cannot be read.
        PlanError: a package is missing.
    """
    from feedbench.bench.html.kinds import report_at
    from feedbench.bench.html.render import render

    paths = _with_runs_inside(_without_others(results))
    reports = [report_at(path, is_alone=len(paths) == 1) for path in paths]
    try:
        return render(reports)
    except ImportError as error:
        raise PlanError(
            "report needs Jinja2 and vl-convert-python: pip install 'feedbench[report]'"
        ) from error


def _without_others(paths: list[Path]) -> list[Path]:
    """Leave out what holds no record, such as a README that a pattern names too, and say so.

    If nothing holds one, all are kept, and reading them says what is wrong.
    """
    others = [path for path in paths if path.exists() and not _has_record(path)]
    kept = [path for path in paths if path not in others]
    if not kept:
        return paths
    for path in others:
        console(to_errors=True).print(
            f"Left out, because it holds no record: {path}", soft_wrap=True
        )
    return kept


def _has_record(path: Path) -> bool:
    """Whether there is a record, or a file that may be a damaged one."""
    from feedbench.bench.html.kinds.history import is_history
    from feedbench.bench.results.find import find_runs, record_in

    if path.is_dir():
        return record_in(path) is not None or bool(find_runs(path))
    return path.suffix in _OF_RECORDS or is_history(path)


def _with_runs_inside(paths: list[Path]) -> list[Path]:
    """Return the paths, with the runs in a folder in place of one that has no record itself."""
    from feedbench.bench.results.find import find_runs, record_in

    found: list[Path] = []
    for path in paths:
        runs = find_runs(path) if path.is_dir() and record_in(path) is None else []
        found += [file.parent for file, _ in runs] or [path]
    return found
