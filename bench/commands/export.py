"""export: writes the choice of a best.toml as Python code."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import Annotated

import typer

from feedbench.bench.commands.options import Blacklist
from feedbench.bench.commands.output import console


def export(
    choice: Annotated[
        str,
        typer.Argument(
            metavar="BEST",
            help="A best.toml, a result folder that has one, or the name of a loader.",
        ),
    ],
    out: Annotated[Path, typer.Option(help="The file to write; it must not exist.")] = Path(
        "input_pipeline.py"
    ),
    data: Annotated[
        str | None,
        typer.Option(
            help="The images that the code is to read: their kind of source, and the files that a "
            "scan found to be unreadable. By default it reads any folder of classes."
        ),
    ] = None,
    blacklist: Blacklist = None,
) -> None:
    """The file has a function make_dataset, and can be measured as a loader of your own."""
    from datetime import UTC, datetime

    from feedbench.bench.analysis.best import resolve_loader
    from feedbench.bench.commands.options import TRAINING_SPEC, list_images
    from feedbench.bench.errors import PlanError, RecordError
    from feedbench.bench.export.module import exported, module_text
    from feedbench.bench.files import write_text

    if out.suffix != ".py":
        raise PlanError(f"--out {out}: the name of a Python file must end in .py")
    if out.exists():
        raise RecordError(f"{out}: exists; name another file with --out, or remove it")
    if blacklist is not None and data is None:
        raise PlanError("--blacklist: give the images too, by --data")
    found = exported(choice, resolve_loader(choice, TRAINING_SPEC))
    manifest = None if data is None else list_images(data, blacklist)
    today = datetime.now(UTC).astimezone().date()
    write_text(out, module_text(found, manifest, out.name, today))
    source = quote(data or "DATA")
    own = quote(f"{out}:make_dataset")
    console().print(
        f"Written: {out}. Measure it beside the original: feedbench bench {source} "
        f"--loader {own} --loader {quote(choice)}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
