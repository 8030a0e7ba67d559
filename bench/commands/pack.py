"""pack: prepare a source's images once, to be read at the speed of memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from feedbench.bench.commands.model_options import Given, takes
from feedbench.bench.commands.options import (
    FAILURES,
    PIXELS,
    Blacklist,
    Data,
    listed,
    readable_by,
)
from feedbench.bench.commands.output import console
from feedbench.bench.commands.overlay import spec_of
from feedbench.bench.plan.plan import Failures
from feedbench.bench.plan.toml import parse_model
from feedbench.loaders import parse_spec

if TYPE_CHECKING:
    from rich.console import Console

    from feedbench.loaders.pack.build import Packing


@takes(*PIXELS, *FAILURES)
def pack(
    data: Data,
    out: Annotated[
        Path,
        typer.Argument(metavar="PACK", help="Folder of the pack: new, or unfinished to resume."),
    ],
    given: Given,
    kind: Annotated[
        Literal["arrays", "jpeg"],
        typer.Option(
            "--as",
            help="arrays: resized pixels, read without decoding; jpeg: smaller JPEGs in TFRecord "
            "files, which take a twentieth of the space.",
        ),
    ] = "arrays",
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
    """An interrupted pack is resumed by the same command; a finished one is checked."""
    from feedbench.loaders.images.libjpeg import READABLE_BY
    from feedbench.loaders.pack.build import Packing
    from feedbench.loaders.pack.pack import is_whole

    failures = parse_model(Failures, given[Failures], "options")
    terminal = console()
    manifest, _ = readable_by([READABLE_BY], listed(data, blacklist), terminal)
    packing = Packing(manifest, parse_spec(spec_of(given)), kind, side, quality, decode)
    if is_whole(out):
        _check(packing, out, terminal)
    else:
        _fill(packing, out, failures, terminal)


def _fill(packing: Packing, out: Path, failures: Failures, terminal: Console) -> None:
    from feedbench.bench.errors import InterruptedRun
    from feedbench.bench.report.progress import counted
    from feedbench.loaders.faults import Faults, tolerance
    from feedbench.loaders.pack.build import fill, opened

    images = len(packing.manifest)
    faults = Faults(tolerance(failures.on_error, failures.error_budget, images))
    about = "" if packing.kind == "arrays" else f"about, by {min(64, images)} of them, "
    terminal.print(
        f"{images:,} images will take {about}{packing.size() / 1e9:.2f} GB in {out}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    try:
        with opened(packing, out) as writer:
            if writer.left < images:
                terminal.print(f"Goes on: {images - writer.left:,} are there", highlight=False)
            with counted(terminal, "images packed", writer.left) as advance:
                fill(packing, writer, faults, advance)
    except KeyboardInterrupt:
        raise InterruptedRun(
            f"interrupted; what is packed is kept in {out}: the same command goes on from there"
        ) from None
    for error in faults.dropped.values():
        terminal.print(f"Left out: {error}", highlight=False, markup=False, soft_wrap=True)
    _say_whole(out, packing, terminal)


def _check(packing: Packing, out: Path, terminal: Console) -> None:
    from feedbench.bench.errors import RecordError
    from feedbench.bench.report.progress import counted
    from feedbench.loaders.pack.build import corrupt_positions
    from feedbench.loaders.pack.pack import Pack, check_about

    pack = Pack(out)
    check_about(pack, packing.about)
    with counted(terminal, "checked", len(pack)) as advance:
        bad = corrupt_positions(pack, advance)
    pack.close()
    if bad:
        raise RecordError(
            f"{out}: {len(bad):,} of {len(pack):,} rows are not what was written, first row "
            f"{bad[0]}; remove the folder and pack again"
        )
    _say_whole(out, packing, terminal)


def _say_whole(out: Path, packing: Packing, terminal: Console) -> None:
    size = sum(file.stat().st_size for file in out.iterdir())
    terminal.print(
        f"Whole: {len(packing.manifest):,} images, {size / 1e9:.2f} GB in {out}. "
        f"Take it by --loader packed --set packed.pack={out}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
