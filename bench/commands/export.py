"""export: writes the choice of a best.toml as Python code."""

from __future__ import annotations

from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Any

import typer

from feedbench.bench.commands.options import Blacklist
from feedbench.bench.commands.output import console

if TYPE_CHECKING:
    from feedbench.loaders import BatchSpec

_NO_OPTION = {"augment", "seed", "shuffle", "background"}  # of the batch spec


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
    from feedbench.loaders import printable

    stem = out.stem
    if out.suffix != ".py" or not stem.isprintable() or set(stem) & {".", '"', "\\"}:
        raise PlanError(
            f"--out {printable(str(out))}: the name of a Python file must end in .py, without "
            "another dot, quotes or backslashes"
        )
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
        f"Written: {out}. Compare it with the original: feedbench bench {source} "
        f"--loader {own} --loader {quote(choice)} {' '.join(map(quote, _options(found.spec)))}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip


def _options(spec: BatchSpec) -> list[str]:
    """The options with which bench asks the original for the batches that the code gives."""
    values = spec.model_dump(mode="json", exclude_defaults=True, exclude=_NO_OPTION)
    values = {"batch_size": spec.batch_size, "image_size": spec.image_size, **values}
    augment = spec.augment.model_dump(mode="json", exclude_defaults=True)
    options = [] if augment.pop("horizontal_flip", False) else ["--no-flip"]
    options += [f"--augment={name}={_text(value)}" for name, value in augment.items()]
    return [_option(name, value) for name, value in values.items()] + options


def _option(name: str, value: Any) -> str:
    flag = f"--{name.replace('_', '-')}"
    return flag if value is True else f"{flag}={_text(value)}"


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)
