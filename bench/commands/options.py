"""Options that several commands share, and the parsing of their values."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from feedbench.bench.commands.model_options import PANELS, ModelOption, option
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Failures, PixelCheck, Suite, Timing
from feedbench.loaders import DEFAULT_LOADER, LOADERS, Augment, BatchSpec, installed
from feedbench.trainer import Recipe

if TYPE_CHECKING:
    from rich.console import Console

    from feedbench.loaders import AuditColumn, Manifest


# The default batch spec of a training from scratch.
TRAINING_SPEC: dict[str, Any] = {"augment": {"horizontal_flip": True}}


def _loader_names(incomplete: str) -> list[str]:
    return [name for name in (*LOADERS, *installed()) if name.startswith(incomplete)]


_NAMES = ", ".join(LOADERS)
_OWN = "a function of yours, FILE.py:FUNCTION or PACKAGE.MODULE:FUNCTION"
_LOADER = f"{_NAMES}; {_OWN}; or a best.toml, or a result folder that has one."
_SET = (
    "A setting of a loader, as listed by feedbench loaders; or a parameter of a function of yours, "
    "FUNCTION.NAME=VALUE."
)

Data = Annotated[
    str,
    typer.Argument(
        metavar="DATA",
        help="A folder with one folder per class; or with train, validation and test, each with "
        "one folder per class; a CSV of path,label[,split]; a zip of class folders; tar, TFRecord, "
        "Arrow or Parquet files with images, a folder of them, or a quoted pattern such as "
        "'shards/*.tar'; or a Parquet manifest, as written by scan --out.",
    ),
]
Loader = Annotated[
    str | None,
    typer.Option(
        "--loader",
        metavar="LOADER",
        help=f"{_LOADER} By default {DEFAULT_LOADER}.",
        autocompletion=_loader_names,
    ),
]
Loaders = Annotated[
    list[str] | None,
    typer.Option(
        "--loader",
        metavar="LOADER",
        help=f"{_NAMES}; {_OWN}; or a best.toml, or a result folder that has one, of which only "
        "the loader and its settings are used. May be repeated.",
        autocompletion=_loader_names,
    ),
]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="LOADER.NAME=VALUE", help=f"{_SET} May be repeated."),
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="LOADER.NAME=VALUE",
        help=f"{_SET} Several values, separated by commas, are all tried. May be repeated.",
    ),
]
RecipeFile = Annotated[
    Path | None,
    typer.Option(
        "--recipe",
        help="A TOML file as printed by feedbench recipe: network, precision, optimizer and so "
        "on. It replaces any other recipe, such as that of a best.toml.",
        rich_help_panel=PANELS[Recipe],
    ),
]
Blacklist = Annotated[
    Path | None,
    typer.Option(
        help="A CSV of path,use,reason as written by feedbench scan --bad; use is no or yes, and "
        "overrides the scan.",
    ),
]


def _place_of_json(path: Path | None) -> Path | None:
    """Create the file's folder now: a run must not end with a result that cannot be saved."""
    if path is None:
        return None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PlanError(
            f"--json {path}: its folder cannot be created ({error.strerror}); name another file"
        ) from error
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise PlanError(f"--json {path}: cannot be written; name a file in a folder of yours")
    return path


Tensorboard = Annotated[
    bool, typer.Option("--tensorboard/--no-tensorboard", help="Write logs for TensorBoard.")
]
Json = Annotated[
    Path | None,
    typer.Option("--json", help="Also save the result as JSON.", callback=_place_of_json),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Result folder, new or empty; by default a new one in results/."),
]


def parse_set(
    options: Iterable[str], loaders: Iterable[str] | None = None, *, several: bool = True
) -> dict[str, dict[str, Any]]:
    """Parse settings of the form `LOADER.NAME=VALUE[,VALUE…]`.

    Args:
        loaders: those that the user named, for an example of that form.
        several: whether a setting may have several values.

    Returns:
        The values by loader, then by name; a list if there are several.

    Raises:
        PlanError: an option does not have that form.
    """
    settings: dict[str, dict[str, Any]] = {}
    for text in options:
        target, equals, value = text.partition("=")
        loader, dot, name = target.rpartition(".")  # pipeline.py:make_dataset has a dot too
        if not (equals and dot and name):
            raise PlanError(f"--set {text}: must be LOADER.NAME=VALUE, {_example(text, loaders)}")
        values = _values(value)
        if len(values) > 1 and not several:
            raise PlanError(f"--set {text}: one value each; this command uses a single setting")
        settings.setdefault(loader, {})[name] = values if len(values) > 1 else values[0]
    return settings


def _example(text: str, loaders: Iterable[str] | None) -> str:
    """Return the setting with the first loader that the user named, if that is a function."""
    from feedbench.loaders import is_own, short_name

    own = next(filter(is_own, loaders or ()), None)
    if own is None or not re.fullmatch(r"\w+=.+", text):
        return "such as tf_data.prefetch=4"
    return f"such as {short_name(own)}.{text}"


def parse_augment(options: Iterable[str]) -> dict[str, Any]:
    """Parse fields of `Augment` of the form `NAME=VALUE[,VALUE…]`.

    Raises:
        PlanError: an option does not have that form.
    """
    fields: dict[str, Any] = {}
    for text in options:
        name, equals, value = text.partition("=")
        if not (equals and name):
            raise PlanError(f"--augment {text}: must be NAME=VALUE, such as rotation=15")
        values = _values(value)
        fields[name] = values if len(values) > 1 or name == "on_device" else values[0]
    return fields


def parse_range(text: str) -> Any:
    """Parse a value range, `LOW,HIGH` or a name; `BatchSpec` checks whether it is allowed."""
    values = _values(text)
    return values if len(values) > 1 else values[0]


def _values(text: str) -> list[Any]:
    return [_value(part) for part in text.split(",")]


def _value(text: str) -> Any:
    """Return a number or a boolean if the text is one, else the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float | bool) else text


_AUGMENTATIONS = "\n\n".join(
    f"{name}: {field.description}" for name, field in Augment.model_fields.items()
)

BATCH_SIZE = option(BatchSpec, "batch_size")
IMAGE_SIZE = option(BatchSpec, "image_size")
RESIZE = option(BatchSpec, "resize")
INTERPOLATION = option(BatchSpec, "interpolation")
ANTIALIAS = option(BatchSpec, "antialias")
ORIENTATION = option(BatchSpec, "orientation")
FLIP = option(
    Augment,
    "horizontal_flip",
    "--flip/--no-flip",
    default=TRAINING_SPEC["augment"]["horizontal_flip"],
)
AUGMENT = option(
    BatchSpec,
    "augment",
    kind=list[str] | None,
    parse=parse_augment,
    more=f"May be repeated.\n\n{_AUGMENTATIONS}",
    metavar="NAME=VALUE",
    rich_help_panel=PANELS[Augment],
)
VALUE_RANGE = option(BatchSpec, "value_range", kind=str, parse=parse_range, metavar="LOW,HIGH")
BALANCE = option(BatchSpec, "balance")
ALPHA = option(Recipe, "alpha")
MODEL = option(Recipe, "network", "--model", metavar="MODEL")
CONSUMER = option(Suite, "consumer")
DEVICES = option(Suite, "devices", metavar="N")
TIMING_SEED = option(Timing, "seed")
CACHE_STATE = option(Timing, "cache_state")
FAILURES = (option(Failures, "on_error"), option(Failures, "error_budget"))
ALLOW_DIFFERENT = option(PixelCheck, "allow_different", "--allow-different-pixels/--same-pixels")
# The options that determine the pixels before augmentation.
PIXELS: tuple[ModelOption, ...] = (IMAGE_SIZE, RESIZE, INTERPOLATION, ANTIALIAS, ORIENTATION)
SPEC: tuple[ModelOption, ...] = (BATCH_SIZE, *PIXELS, FLIP, AUGMENT, VALUE_RANGE, BALANCE)


def list_images(data: str, blacklist: Path | None) -> Manifest:
    """Return the images of a source, with the audit of its last scan and the user's blacklist.

    Facts of files that have changed since the scan are left out.
    """
    from feedbench.loaders import with_blacklist
    from feedbench.loaders.audit import scanned

    manifest = replace(scanned(data), source=Path(data))
    return manifest if blacklist is None else with_blacklist(manifest, blacklist)


def readable_rows(
    manifest: Manifest, loaders: Iterable[str], terminal: Console
) -> tuple[Manifest, dict[str, int]]:
    """Return the rows that all these loaders can read, and prints how many are left out.

    Returns:
        The readable rows, and the number of rows left out by reason.
    """
    from feedbench.loaders import find_loader

    return rows_readable_by([find_loader(name).readable_by for name in loaders], manifest, terminal)


def rows_readable_by(
    columns: Iterable[tuple[AuditColumn, ...]], manifest: Manifest, terminal: Console
) -> tuple[Manifest, dict[str, int]]:
    """Return the rows that at least one decoder of each tuple can read.

    Args:
        columns: audit columns of the decoders, one tuple per loader.

    Returns:
        The readable rows, and the number of rows left out by reason.
    """
    from feedbench.loaders import by_reason, printable, unscanned_rows, usable

    if not manifest.audited:
        terminal.print(
            "Not scanned: run feedbench scan first to find images that cannot be read or that "
            "libraries decode differently.",
            style="dim",
            highlight=False,
        )
    elif (unknown := unscanned_rows(manifest)).size:
        name = printable(manifest.name(int(unknown[0])))
        terminal.print(
            f"New or changed since the scan: {unknown.size:,} of {len(manifest):,} files, such as "
            f"{name}; run feedbench scan again.",
            highlight=False, markup=False, soft_wrap=True,
        )  # fmt: skip
    rows, left_out = usable(manifest, columns)
    reasons = by_reason(left_out)
    for reason, count in reasons.items():
        terminal.print(f"Left out: {count:,} × {reason}", highlight=False, markup=False)
    return rows, reasons
