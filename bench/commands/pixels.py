"""pixels: compares the pixels of several loaders."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feedbench.bench.commands.model_options import OptionValues, add_options, option
from feedbench.bench.commands.option_values import parse_set
from feedbench.bench.commands.options import (
    PIXELS,
    Blacklist,
    Data,
    Json,
    Loaders,
    Sets,
    list_images,
    readable_rows,
)
from feedbench.bench.commands.output import console, print_parts
from feedbench.bench.commands.overlay import chosen_loaders, spec_of
from feedbench.bench.errors import NOTHING_DONE, PlanError, TrialError
from feedbench.bench.plan.plan import Choice, PixelCheck, expand
from feedbench.bench.plan.settings import with_settings
from feedbench.bench.plan.suites import available_loaders
from feedbench.bench.plan.toml import parse_model
from feedbench.loaders import (
    BatchSpec,
    Manifest,
    check_orientation,
    check_package,
    find_loader,
    parse_spec,
)

if TYPE_CHECKING:
    from feedbench.bench.pixels.messages import PixelJob
    from feedbench.bench.pixels.result import PixelComparison

_BATCH_SIZE, _IMAGES = 32, 200


@add_options(
    option(PixelCheck, "images", default=_IMAGES),
    option(PixelCheck, "tolerance"),
    option(BatchSpec, "batch_size", default=_BATCH_SIZE),
    *PIXELS,
)
def pixels(
    data: Data,
    given: OptionValues,
    loader: Loaders = None,
    set_: Sets = None,
    seed: Annotated[int, typer.Option(help="Seed of the choice of images.", min=0)] = 0,
    worst: Annotated[
        int, typer.Option(help="Number of worst images to list per loader.", min=0)
    ] = 8,
    blacklist: Blacklist = None,
    sheet: Annotated[
        Path | None, typer.Option(help="Save a picture of the largest differences as PNG.")
    ] = None,
    json: Json = None,
) -> None:
    """All loaders are compared with the first; without --loader, all that read images."""
    from feedbench.bench.files import write_result
    from feedbench.bench.pixels.messages import PixelJob
    from feedbench.bench.pixels.table import parts

    check = parse_model(PixelCheck, {"images": _IMAGES, **given[PixelCheck]}, "options")
    manifest = list_images(data, blacklist)
    choices = _choices(loader, set_ or [], manifest)
    spec = parse_spec({"batch_size": _BATCH_SIZE, **spec_of(given)})
    terminal, progress = console(), console(to_errors=True)
    names = [choice.loader for choice in choices]
    manifest, _ = readable_rows(manifest, names, terminal)
    for name in names:
        check_orientation(find_loader(name), spec, manifest)
    with tempfile.TemporaryDirectory() as folder:
        manifest_file = Path(folder) / "manifest.parquet"
        manifest.write(manifest_file)
        job = PixelJob(
            choices=list(choices),
            manifest=manifest_file.absolute(),
            spec=spec,
            images=check.images,
            seed=seed,
            tolerance=check.tolerance,
            worst_images=worst,
            sheet=sheet.absolute() if sheet else None,
        )
        comparison = _compared(
            job, lambda name: progress.print(f"reading with {name}", highlight=False)
        )
    if json is not None:
        write_result(json, comparison.model_dump())
    print_parts(terminal, parts(comparison))
    if not all(loader.within for loader in comparison.loaders if loader.comparable):
        raise typer.Exit(NOTHING_DONE)


def _compared(job: PixelJob, on_reading: Callable[[str], None]) -> PixelComparison:
    """Compare; what libraries write to standard error stays if a message names its file."""
    from feedbench.bench.pixels.check import check_all_pixels

    descriptor, log = tempfile.mkstemp(prefix="feedbench-pixels-", suffix=".log")
    os.close(descriptor)
    told = ""
    try:
        comparison = check_all_pixels(job, Path(log), on_reading=on_reading)
        told = " ".join(filter(None, (loader.error for loader in comparison.loaders)))
    except TrialError as error:
        told = str(error)
        raise
    finally:
        if log not in told:
            Path(log).unlink()
    return comparison


def _choices(
    loaders: list[str] | None, options: list[str], manifest: Manifest
) -> tuple[Choice, ...]:
    """Return the named loaders, or all that can read the source, with their settings."""
    settings = parse_set(options, loaders)
    available = [Choice(loader=each.name) for each in available_loaders(manifest, settings)]
    choices = expand(with_settings(chosen_loaders(loaders) or available, settings))
    for choice in choices:
        check_package(choice.loader)
    if len(choices) < 2:
        raise PlanError(f"--loader {choices[0].loader}: name another to compare it with")
    return choices
