"""pack: prepare a source's images once, to be read at the speed of memory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from feedbench.bench.commands.options import (
    Antialias,
    Blacklist,
    Data,
    ErrorBudget,
    ImageSize,
    Interpolation,
    OnError,
    Orientation,
    Resize,
)
from feedbench.bench.commands.output import console

if TYPE_CHECKING:
    from rich.console import Console

    from feedbench.loaders.pack.build import Packing

_SIDE, _QUALITY = 256, 90


def pack(
    data: Data,
    out: Annotated[Path, typer.Argument(help="Folder of the pack: new, or one to go on with.")],
    kind: Annotated[
        Literal["arrays", "jpeg"],
        typer.Option(
            "--as",
            help="arrays: resized pixels, read without decoding; jpeg: JPEGs made smaller, in "
            "TFRecord files: a twentieth of the room.",
        ),
    ] = "arrays",
    image_size: ImageSize = None,
    resize: Resize = None,
    interpolation: Interpolation = None,
    antialias: Antialias = None,
    orientation: Orientation = None,
    side: Annotated[
        int, typer.Option(help="Longest side of a JPEG, pixels; smaller images stay.", min=16)
    ] = _SIDE,
    quality: Annotated[int, typer.Option(help="Of a JPEG.", min=1, max=100)] = _QUALITY,
    decode: Annotated[
        Literal["full", "scaled"],
        typer.Option(help="scaled: shrink the originals while decoding: faster, other pixels."),
    ] = "full",
    blacklist: Blacklist = None,
    on_error: OnError = None,
    error_budget: ErrorBudget = None,
) -> None:
    """Prepare all images once for the loader `packed`; a pack that is whole is checked."""
    from feedbench.bench.commands.options import listed, readable, spec_values
    from feedbench.loaders import parse_spec
    from feedbench.loaders.pack.build import Packing
    from feedbench.loaders.pack.pack import is_whole

    values = spec_values(None, image_size, resize, interpolation, antialias, None, orientation)
    terminal = console()
    manifest, _ = readable(listed(data, blacklist), ["turbo"], terminal)
    packing = Packing(manifest, parse_spec(values), kind, side, quality, decode)
    if is_whole(out):
        _check(packing, out, terminal)
    else:
        _fill(packing, out, on_error or "raise", error_budget, terminal)


def _fill(
    packing: Packing, out: Path, on_error: str, budget: float | None, terminal: Console
) -> None:
    from feedbench.bench.errors import InterruptedRun
    from feedbench.bench.report.progress import counted
    from feedbench.loaders.faults import BUDGET, Faults, tolerance
    from feedbench.loaders.pack.build import fill, opened

    images = len(packing.manifest)
    faults = Faults(tolerance(on_error, BUDGET if budget is None else budget, images))
    about = "" if packing.kind == "arrays" else f"about, by {min(64, images)} of them, "
    terminal.print(
        f"{images:,} images will take {about}{packing.size() / 1e9:.2f} GB in {out}",
        highlight=False, markup=False, soft_wrap=True,
    )  # fmt: skip
    try:
        with opened(packing, out) as writer:
            if writer.left < images:
                terminal.print(f"Goes on: {images - writer.left:,} are there", highlight=False)
            with counted(terminal, "packed", writer.left) as advance:
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
    with counted(terminal, "checked", len(pack.index)) as advance:
        bad = corrupt_positions(pack, advance)
    pack.close()
    if bad:
        raise RecordError(
            f"{out}: {len(bad):,} of {len(pack.index):,} rows are not what was written, first row "
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
