"""Options that several commands share, and the images that they name."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from feedbench.bench.commands.model_options import PANELS, ModelOption, option
from feedbench.bench.commands.option_values import parse_augment, parse_range
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
        "'shards/*.tar'; or a Parquet manifest, as written by scan --out. Folders of classes and "
        "shards may lie in object storage: s3://BUCKET/PREFIX or gs://BUCKET/PREFIX.",
    ),
]
Loader = Annotated[  # a list, because a second one would replace the first without a word
    list[str] | None,
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


def writable_file(option: str) -> Callable[[Path | None], Path | None]:
    """Return a callback that creates a file's folder before a run that would end without it."""

    def place(path: Path | None) -> Path | None:
        if path is None:
            return None
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise PlanError(
                f"{option} {path}: its folder cannot be created ({error.strerror}); name another "
                "file"
            ) from error
        if path.is_dir() or not os.access(path.parent, os.W_OK):
            raise PlanError(f"{option} {path}: cannot be written; name a file that you can write")
        return path

    return place


Tensorboard = Annotated[
    bool, typer.Option("--tensorboard/--no-tensorboard", help="Write logs for TensorBoard.")
]
Json = Annotated[
    Path | None,
    typer.Option("--json", help="Also save the result as JSON.", callback=writable_file("--json")),
]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="Result folder, new or empty; by default a new one in results/."),
]


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


@contextmanager
def listing_progress(data: str) -> Iterator[Callable[[int], None]]:
    """Yield a callback that shows how many objects of a source in object storage are listed."""
    from feedbench.bench.commands.output import console
    from feedbench.bench.report.progress import listed_progress
    from feedbench.loaders import is_remote, source_path

    source = source_path(data)  # refuses one with credentials in it, before it is shown
    if not is_remote(os.fsencode(source)):
        yield lambda count: None
        return
    with listed_progress(console(to_errors=True), f"Listing {source}") as advance:
        yield advance


def list_images(data: str, blacklist: Path | None) -> Manifest:
    """Return the images of a source, with the audit of its last scan and the user's blacklist.

    Facts of files that have changed since the scan are left out.
    """
    from feedbench.loaders import source_path, with_blacklist
    from feedbench.loaders.audit import scanned

    with listing_progress(data) as on_listed:
        listed = scanned(data, on_listed=on_listed)
    manifest = replace(listed, source=source_path(data))
    return manifest if blacklist is None else with_blacklist(manifest, blacklist)


def has_validation(manifest: Manifest) -> bool:
    """Whether a source has images to validate a training with."""
    from feedbench.loaders import SPLITS

    return bool((manifest.splits == SPLITS.index("validation")).any())


def readable_rows(
    manifest: Manifest, loaders: Iterable[str], terminal: Console
) -> tuple[Manifest, dict[str, int]]:
    """Return the rows that all these loaders can read, and prints how many are left out.

    Returns:
        The readable rows, and the number of rows left out by reason.
    """
    from feedbench.loaders import find_loader

    return rows_readable_by([find_loader(name).readable_by for name in loaders], manifest, terminal)


def drawn_rows(
    manifest: Manifest,
    left_out: dict[str, int],
    images: int | None,
    terminal: Console,
    *,
    warm: bool,
) -> tuple[Manifest, dict[str, int]]:
    """Draw the rows to measure, and print how many they are.

    Args:
        left_out: number of rows left out so far, by reason.
        images: largest number of rows; None for all.
        warm: whether their files must stay in memory.

    Returns:
        The sample, and `left_out` with the number of the other rows.
    """
    from feedbench.bench.trials.sample import NOT_DRAWN, WARM_SHARE, sample_of
    from feedbench.loaders import available_memory

    if images is None:
        return manifest, left_out
    sample = sample_of(manifest, images, WARM_SHARE * available_memory() if warm else inf)
    if sample is manifest:
        return manifest, left_out
    terminal.print(
        f"Measured: {len(sample):,} of {len(manifest):,} images, drawn at random; --images sets "
        "their number",
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    return sample, {**left_out, NOT_DRAWN: len(manifest) - len(sample)}


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
