"""Options that several commands share, and what they become."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

    from feedbench.loaders import Manifest
    from feedbench.loaders.capabilities import AuditColumn

TRAINING_SPEC = {
    "augment": {"horizontal_flip": True}
}  # what a training from scratch wants by default

Data = Annotated[
    str,
    typer.Argument(
        help="A folder a class, a folder with train/validation/test folders of classes, a CSV of "
        "path,label[,split], or a manifest."
    ),
]
Loaders = Annotated[
    list[str] | None, typer.Option("--loader", help="A loader by name; may be given again.")
]
Sets = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        help="A loader's setting, LOADER.NAME=VALUE; several values, separated by commas, "
        "are all tried. May be given again.",
    ),
]
Json = Annotated[Path | None, typer.Option("--json", help="Also write the result to this file.")]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out",
        help="Folder for the results, new or empty; named by the time under results/ if not given.",
    ),
]
Blacklist = Annotated[
    Path | None,
    typer.Option(
        help="A CSV of path,use,reason as scan --bad writes it; use is no or yes, and wins over "
        "what the scan found."
    ),
]
OnError = Annotated[
    str | None,
    typer.Option(
        help="raise: end at the first file that fails while running; skip: give the next "
        "readable one in its place. (default: raise)"
    ),
]
ErrorBudget = Annotated[
    float | None,
    typer.Option(
        help="Share of the images that skip may drop before the run ends. (default: 0.001)"
    ),
]
Orientation = Annotated[
    str | None,
    typer.Option(help="EXIF orientation: ignore or apply. (default: ignore)"),
]
BatchSize = Annotated[int | None, typer.Option(help="Images in a batch. (default: 192)")]
ImageSize = Annotated[int | None, typer.Option(help="Pixels of a side. (default: 224)")]
Resize = Annotated[str | None, typer.Option(help="stretch, crop or pad. (default: stretch)")]
Interpolation = Annotated[str | None, typer.Option(help="nearest or bilinear. (default: nearest)")]
Antialias = Annotated[
    bool | None,
    typer.Option(
        "--antialias/--no-antialias", help="Widen the bilinear filter when shrinking. (default: no)"
    ),
]
Flip = Annotated[
    bool | None,
    typer.Option(
        "--flip/--no-flip", help="Mirror half of the images, drawn anew each epoch. (default: flip)"
    ),
]
Augmentations = Annotated[
    list[str] | None,
    typer.Option(
        "--augment",
        help="A change drawn anew for each image and epoch, NAME=VALUE: "
        "horizontal_flip=true, rotation=DEGREES, zoom=LOW,HIGH, crop=SHARE, brightness=SHARE, "
        "contrast=SHARE, jpeg_quality=LOW,HIGH; "
        "on_device=NAME,… lets the device make it. May be given again.",
    ),
]
Range = Annotated[
    str | None,
    typer.Option(
        "--value-range",
        help="What pixels of 0 to 255 become: LOW,HIGH, or imagenet for its mean and deviation. "
        "(default: 0,1)",
    ),
]
Balance = Annotated[
    float | None,
    typer.Option(
        help="0: each image once an epoch; 1: images of rarer classes again, until all classes "
        "are alike; or between. (default: 0)"
    ),
]
CacheStateOption = Annotated[
    str | None,
    typer.Option(
        "--cache-state",
        help="warm: every file is read beforehand; cold: files leave the page cache before they "
        "are read; each block proves it by bytes read from the disk. (default: as it is)",
    ),
]
Alpha = Annotated[
    float | None, typer.Option(help="Width of the network, where it has one. (default: 1.0)")
]


def spec_values(
    batch_size: int | None,
    image_size: int | None,
    resize: str | None,
    interpolation: str | None,
    antialias: bool | None,
    flip: bool | None,
    orientation: str | None = None,
    augment: list[str] | None = None,
    value_range: str | None = None,
    balance: float | None = None,
) -> dict[str, Any]:
    """The fields of a batch spec that were given."""
    from feedbench.bench.plan.plan import parse_augment, parse_range

    changes = {**given_only({"horizontal_flip": flip}), **parse_augment(augment or [])}
    given = {
        "batch_size": batch_size,
        "image_size": image_size,
        "resize": resize,
        "interpolation": interpolation,
        "antialias": antialias,
        "augment": changes or None,
        "value_range": None if value_range is None else parse_range(value_range),
        "balance": balance,
        "orientation": orientation,
    }
    return given_only(given)


def given_only(values: dict[str, Any]) -> dict[str, Any]:
    """Without those that are None."""
    return {name: value for name, value in values.items() if value is not None}


def listed(data: str, blacklist: Path | None) -> Manifest:
    """The images of a source, with what the last scan found in each file and a person said."""
    from feedbench.loaders import scan
    from feedbench.loaders.audit.audit import attach
    from feedbench.loaders.audit.store import Store
    from feedbench.loaders.selection import with_blacklist

    manifest = scan(data)
    known = Store.of(data).facts()
    if len(known) and not manifest.audited:
        manifest = attach(manifest, known)
    return manifest if blacklist is None else with_blacklist(manifest, blacklist)


def readable(
    manifest: Manifest, loaders: Iterable[str], terminal: Console
) -> tuple[Manifest, dict[str, int]]:
    """The rows that all these loaders can give; says how many others there are, and why."""
    from feedbench.loaders import find_loader

    return readable_by([find_loader(name).readable_by for name in loaders], manifest, terminal)


def readable_by(
    columns: Iterable[tuple[AuditColumn, ...]], manifest: Manifest, terminal: Console
) -> tuple[Manifest, dict[str, int]]:
    """The rows of which one decoder of each tuple can read; says how many others there are."""
    from feedbench.loaders.selection import by_reason, usable

    if not manifest.audited:
        terminal.print(
            "Not scanned: feedbench scan finds what cannot be read, or would look different, "
            "beforehand.",
            style="dim",
            highlight=False,
        )
    kept, left_out = usable(manifest, columns)
    reasons = by_reason(left_out)
    for reason, count in reasons.items():
        terminal.print(f"Left out: {count:,} × {reason}", highlight=False, markup=False)
    return kept, reasons
