"""plan: what a larger target needs, from what was measured here."""

from __future__ import annotations

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
from feedbench.bench.commands.plan_costs import costs_in, measured_now
from feedbench.bench.errors import PlanError

if TYPE_CHECKING:
    from feedbench.bench.accelerator import Accelerator
    from feedbench.loaders import Manifest

_SAMPLE = 20_000  # files whose sizes are read
_GIGA, _MEGA = 1e9, 1e6


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
            help="Images per second of one accelerator, instead of its profile's.", min=0.001
        ),
    ] = None,
    from_: Annotated[
        Path | None,
        typer.Option(
            "--from",
            metavar="RESULT",
            help="Take the costs from this diagnose, limits or bench run; by default the loader is "
            "diagnosed now. With --loader, those of that loader in a bench or limits run.",
        ),
    ] = None,
    loader: Loader = None,
    set_: Set = None,
    hosts: Annotated[int, typer.Option(help="Machines that share the accelerators.", min=1)] = 1,
    cores: Annotated[
        int | None, typer.Option(help="Cores of each host; by default as many as here.", min=1)
    ] = None,
    core_speed: Annotated[
        float, typer.Option(help="Speed of such a core, relative to one here.", min=0.01)
    ] = 1.0,
    memory: Annotated[
        float | None,
        typer.Option(help="Memory of each host in GB; by default what is available here.", min=0.1),
    ] = None,
    storage: Annotated[
        float | None,
        typer.Option(
            help="Bandwidth of the storage in MB/s; by default what was measured here.", min=0.1
        ),
    ] = None,
    network: Annotated[
        float | None, typer.Option(help="Bandwidth of each host's network in Gbit/s.", min=0.01)
    ] = None,
    seconds: Annotated[
        float, typer.Option(help="Time budget of the diagnosis in seconds.", min=1)
    ] = 60.0,
    blacklist: Blacklist = None,
    out: Out = None,
    json: Json = None,
) -> None:
    """Cores, service workers, storage, network and memory that keep the accelerators busy."""
    from feedbench.bench.capacity.needs import plan_for
    from feedbench.bench.capacity.table import parts
    from feedbench.bench.capacity.target import Target, parse_accelerator, rate_assumptions
    from feedbench.bench.files import write_json
    from feedbench.loaders import available_memory, usable_cores

    name, count = parse_accelerator(accelerator)
    profile = _profile(name, rate)
    if from_ is not None and set_:
        raise PlanError("--from: the settings are those of the run; leave out --set")
    manifest = list_images(data, blacklist).only("train")
    found = costs_in(from_, loader) if from_ else None
    folder = result_folder(out, "plan")
    if found is None:
        manifest, costs = measured_now(manifest, given, loader, set_, profile, folder, seconds)
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
    for path in filter(None, (folder / "plan.json", json)):
        write_json(path, planned.model_dump())
    print_parts(console(), parts(planned))
    console().print(f"Record: {folder}", highlight=False, soft_wrap=True)


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
