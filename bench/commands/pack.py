"""pack: prepares all images of a source once for the loader packed, or checks a pack."""

from __future__ import annotations

import os
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from feedbench.bench.commands.model_options import OptionValues, add_options
from feedbench.bench.commands.options import (
    FAILURES,
    PIXELS,
    Blacklist,
    Data,
    list_images,
    rows_readable_by,
)
from feedbench.bench.commands.output import console, redirect_library_output
from feedbench.bench.commands.overlay import spec_of
from feedbench.bench.commands.run_sharding import run_sharding
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Failures
from feedbench.bench.plan.toml import parse_model
from feedbench.bench.quantities import quantity
from feedbench.loaders import BatchSpec, parse_spec

if TYPE_CHECKING:
    from rich.console import Console

    from feedbench.loaders.pack import Packing


@add_options(*PIXELS, *FAILURES)
def pack(
    data: Data,
    out: Annotated[
        Path,
        typer.Argument(metavar="PACK", help="Folder of the pack: new, or unfinished to resume."),
    ],
    given: OptionValues,
    kind: Annotated[
        Literal["arrays", "jpeg", "tfrecord", "webdataset"],
        typer.Option(
            "--as",
            help="arrays: resized pixels, read without decoding; jpeg: smaller JPEGs in TFRecord "
            "files, which take a twentieth of the space; tfrecord and webdataset: the original "
            "files as they are, in TFRecord files or tars that any tool reads.",
        ),
    ] = "arrays",
    shards: Annotated[
        int | None,
        typer.Option(
            help="Number of tfrecord or webdataset shards of the training images; by default one "
            "per 128 MB.",
            min=1,
        ),
    ] = None,
    side: Annotated[
        int,
        typer.Option(
            help="Longest side of a JPEG in pixels; smaller images keep their size.", min=16
        ),
    ] = 256,
    quality: Annotated[int, typer.Option(help="Quality of a JPEG.", min=1, max=100)] = 90,
    decode: Annotated[
        Literal["full", "scaled"],
        typer.Option(
            help="full: all pixels; scaled: shrink the originals while decoding, which is faster "
            "and gives other pixels."
        ),
    ] = "full",
    blacklist: Blacklist = None,
) -> None:
    """The same command resumes an interrupted pack and checks a finished one."""
    from feedbench.loaders.images import READABLE_BY
    from feedbench.loaders.pack import Packing, Sharding, is_whole

    failures = parse_model(Failures, given[Failures], "options")
    terminal = console()
    manifest, _ = rows_readable_by([READABLE_BY], list_images(data, blacklist), terminal)
    if kind == "tfrecord" or kind == "webdataset":
        _refuse_pixels(given)
        run_sharding(Sharding(manifest, kind, shards), out, failures, terminal)
        return
    if shards is not None:
        raise PlanError(f"--shards: only for --as tfrecord and webdataset, got --as {kind}")
    packing = Packing(manifest, parse_spec(spec_of(given)), kind, side, quality, decode)
    if is_whole(out):
        _check(packing, out, terminal)
    else:
        _fill(packing, out, failures, terminal)


def _refuse_pixels(given: OptionValues) -> None:
    for name in given[BatchSpec]:
        flag = f"--{name.replace('_', '-')}"
        raise PlanError(f"{flag}: shards hold the files as they are; leave it out")


def _fill(packing: Packing, out: Path, failures: Failures, terminal: Console) -> None:
    from feedbench.bench.errors import InterruptedRun
    from feedbench.bench.report.progress import count_progress
    from feedbench.loaders import Faults, amount, tolerance
    from feedbench.loaders.pack import fill, opened

    images = len(packing.manifest)
    faults = Faults(tolerance(failures.on_error, failures.error_budget, images))
    # The size of JPEGs is extrapolated from 64 of them.
    size = f"{'' if packing.kind == 'arrays' else 'about '}{amount(packing.size())}"
    terminal.print(
        f"{quantity(images, 'image')} will take {size} in {out}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    try:
        with (
            redirect_library_output(Path(os.devnull)) as progress,
            opened(packing, out) as writer,
        ):
            if writer.left < images:
                packed = images - writer.left
                terminal.print(f"Resuming: {packed:,} images are packed", highlight=False)
            with count_progress(progress, "images packed", writer.left) as advance:
                fill(packing, writer, faults, advance)
    except KeyboardInterrupt:
        raise InterruptedRun(
            f"interrupted; the packed images are saved in {out}; resume with the same command"
        ) from None
    for error in faults.dropped.values():
        terminal.print(f"Left out: {error}", highlight=False, markup=False, soft_wrap=True)
    _print_complete(out, packing, terminal)


def _check(packing: Packing, out: Path, terminal: Console) -> None:
    from feedbench.bench.errors import RecordError
    from feedbench.bench.report.progress import count_progress
    from feedbench.loaders.pack import Pack, check_packing, corrupt_positions

    pack = Pack(out)
    check_packing(pack, packing)
    with count_progress(console(to_errors=True), "checked", len(pack)) as advance:
        bad = corrupt_positions(pack, advance)
    pack.close()
    if bad:
        raise RecordError(
            f"{out}: {len(bad):,} of {len(pack):,} rows are corrupt, the first is row "
            f"{bad[0]}; remove the folder and pack again"
        )
    _print_complete(out, packing, terminal)


def _print_complete(out: Path, packing: Packing, terminal: Console) -> None:
    from feedbench.loaders import amount

    size = sum(file.stat().st_size for file in out.iterdir())
    terminal.print(
        f"Complete: {quantity(len(packing.manifest), 'image')}, {amount(size)} in {out}. "
        f"Use it with --loader packed --set {quote(f'packed.pack={out}')}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
