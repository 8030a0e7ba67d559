"""plan: what a larger target needs, from what was measured here."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from feedbench.bench.commands.model_options import OptionValues, add_options
from feedbench.bench.commands.options import (
    BATCH_SIZE,
    IMAGE_SIZE,
    Blacklist,
    Data,
    Json,
    Loader,
    Out,
    Set,
    list_images,
)
from feedbench.bench.commands.output import console, print_parts, result_folder
from feedbench.bench.commands.overlay import one_loader
from feedbench.bench.commands.plan_costs import costs_in, measured_now
from feedbench.bench.errors import PlanError, RecordError

if TYPE_CHECKING:
    from feedbench.bench.accelerator import Accelerator
    from feedbench.bench.capacity.needs import CapacityPlan
    from feedbench.loaders import Manifest

_SAMPLE = 20_000  # files whose sizes are read
_GIGA, _MEGA = 1e9, 1e6
_MOST, _MOST_HOSTS = 1e9, 1_000_000  # of any amount; larger ones are slips of the keyboard


@add_options(BATCH_SIZE, IMAGE_SIZE)
def plan(
    data: Data,
    given: OptionValues,
    accelerator: Annotated[
        str,
        typer.Option(
            metavar="NAME[:COUNT]",
            help="The accelerators of the target, such as a100:8; feedbench accelerators lists the "
            "names. With --rate, any name.",
        ),
    ],
    rate: Annotated[
        float | None,
        typer.Option(
            help="Images per second of one accelerator, instead of its profile's.",
            min=0.001,
            max=_MOST,
        ),
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RESULT",
            help="Take the costs from this diagnose, limits or bench run; by default the loader is "
            "diagnosed now. Of several loaders, --loader and --set choose one; by default the "
            "winner of a bench, or the fastest that reads files and decodes them in full.",
        ),
    ] = None,
    loader: Loader = None,
    set_: Set = None,
    hosts: Annotated[
        int, typer.Option(help="Machines that share the accelerators.", min=1, max=_MOST_HOSTS)
    ] = 1,
    cores: Annotated[
        int | None,
        typer.Option(
            help="Cores of each host; by default as many as here.", min=1, max=_MOST_HOSTS
        ),
    ] = None,
    core_speed: Annotated[
        float, typer.Option(help="Speed of such a core, relative to one here.", min=0.01, max=100)
    ] = 1.0,
    memory: Annotated[
        float | None,
        typer.Option(
            help="Memory of each host in GB; by default what is available here.",
            min=0.1,
            max=_MOST,
        ),
    ] = None,
    storage: Annotated[
        float | None,
        typer.Option(
            help="Bandwidth of the storage in MB/s, for all hosts together; by default what was "
            "measured here.",
            min=0.1,
            max=_MOST,
        ),
    ] = None,
    network: Annotated[
        float | None,
        typer.Option(help="Bandwidth of each host's network in Gbit/s.", min=0.01, max=_MOST),
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="Time budget of the diagnosis in seconds.", min=1)
    ] = 60.0,
    blacklist: Blacklist = None,
    out: Out = None,
    json: Json = None,
) -> None:
    """The cost of loading an image is measured first, or taken from a run with --from."""
    from feedbench.bench.capacity.needs import plan_for
    from feedbench.bench.capacity.table import parts
    from feedbench.bench.capacity.target import Target, parse_accelerator, rate_assumptions
    from feedbench.loaders import available_memory, usable_cores

    name, count = parse_accelerator(accelerator)
    profile = _profile(name, rate)
    if from_ is not None and any(given.values()):
        raise PlanError(
            "--from: the batches are those of the run; leave out --image-size and --batch-size"
        )
    chosen = one_loader(loader)
    manifest = list_images(data, blacklist).only("train")
    found = costs_in(from_, chosen, set_, manifest) if from_ else None
    folder = result_folder(out, "plan")
    if found is None:
        manifest, costs = measured_now(manifest, given, chosen, set_, profile, folder, seconds)
    else:
        costs = found
    size = costs.image_size
    target = Target(
        accelerator=name,
        count=count,
        rate=rate or (1 / profile.seconds_per_image(size) if profile else 0),
        images=len(manifest),
        bytes_per_image=_bytes_per_image(manifest),
        hosts=hosts,
        cores=cores or usable_cores(),
        core_speed=core_speed,
        memory_bytes=memory * _GIGA if memory else available_memory(),
        storage_bytes_per_s=storage * _MEGA if storage else None,
        network_bits_per_s=network * _GIGA if network else None,
    )
    assumptions = rate_assumptions(profile, size) if profile else []
    planned = plan_for(target, costs, assumptions)
    _save(planned, folder, json)
    print_parts(console(), parts(planned))
    console().print(f"Record: {folder}", highlight=False, soft_wrap=True)


def _save(planned: CapacityPlan, folder: Path, json: Path | None) -> None:
    """Write the plan into its folder, and where --json says.

    Raises:
        RecordError: it cannot be written; a folder with nothing in it is removed.
    """
    from feedbench.bench.files import write_result

    try:
        for path in filter(None, (folder / "plan.json", json)):
            write_result(path, planned.model_dump())
    except RecordError:
        with suppress(OSError):  # it holds the diagnosis that was made, or the plan
            folder.rmdir()
        raise


def _profile(name: str, rate: float | None) -> Accelerator | None:
    """Return the profile of the accelerators; None if only their rate is known.

    Raises:
        PlanError: no profile has that name, and no rate is given.
    """
    from feedbench.bench.plan.accelerators import accelerators, find_accelerator

    if rate is not None:
        return None
    try:
        return find_accelerator(name)
    except PlanError as error:
        if name in accelerators():
            raise
        raise PlanError(f"{error}; or give its images per second as --rate") from None


def _bytes_per_image(manifest: Manifest) -> float:
    import numpy as np

    from feedbench.bench.trials.cache_state import Files

    rows = np.random.default_rng(0).permutation(len(manifest))[:_SAMPLE]
    return max(1.0, Files(manifest).size(rows.tolist()) / len(rows))
