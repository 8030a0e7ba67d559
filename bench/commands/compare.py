"""compare: two or more runs, rate by rate."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from feedbench.bench.commands.options import Json
from feedbench.bench.commands.run_compare import FailIfSlower, end, print_comparison
from feedbench.bench.errors import PlanError


def compare(
    results: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN",
            help="Folders or files with records of bench, tune, limits, diagnose, train or "
            "FitMonitor; the first is the base.",
        ),
    ],
    fail_if_slower: FailIfSlower = None,
    allow_different: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-different",
            metavar="TOPIC",
            help="Compare runs that differ in consumer, data, batches, recipe or cache, which are "
            "refused otherwise; or judge those that differ in machine. May be repeated.",
        ),
    ] = None,
    relative_to: Annotated[
        str | None,
        typer.Option(
            "--relative-to",
            metavar="LOADER",
            help="Divide each rate by that of this loader in the same round before it is "
            "compared, so that the speed of the machine cancels. Each run must have it, as its "
            "table names it, and the change that you compare must not affect it.",
        ),
    ] = None,
    markdown: Annotated[
        bool,
        typer.Option("--markdown", help="Print Markdown, such as for a pull request."),
    ] = False,
    json: Json = None,
) -> None:
    """Each loader is compared with itself, with the same settings, in the base: the first run.

    At most 5 % of the calls report a false difference, if the speed of the machine is constant.
    """
    from feedbench.bench.compare.compare import compare_runs
    from feedbench.bench.compare.conditions import parse_topics
    from feedbench.bench.compare.gate import parse_percent
    from feedbench.bench.files import write_result

    if len(results) < 2:
        raise PlanError(f"{results[0]}: nothing to compare it with; give a second run")
    limit = None if fail_if_slower is None else parse_percent(fail_if_slower)
    comparison = compare_runs(results, limit, parse_topics(allow_different or ()), relative_to)
    if json is not None:
        write_result(json, comparison.model_dump(mode="json"))
    print_comparison(comparison, markdown=markdown)
    end(comparison)
