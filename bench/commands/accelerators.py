"""accelerators: what can be emulated."""

from __future__ import annotations

from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import console


def accelerators(json: Json = None) -> None:
    """Each rate holds for the network, batch and image size listed with it.

    feedbench calibrate adds this machine's.
    """
    from rich.table import Table

    from feedbench.bench.files import write_json
    from feedbench.bench.plan.accelerators import accelerators as known

    made = Table("name", "device", "images/s", "batch", "px", "network", "precision", "source")
    for name, one in known().items():
        network = one.network if one.alpha is None else f"{one.network}, alpha {one.alpha:g}"
        numbers = (f"{one.images_per_second:,.0f}", str(one.batch_size), str(one.image_size))
        made.add_row(name, one.device, *numbers, network, one.precision, one.source)
    console().print(made)
    if json is not None:
        write_json(json, {name: one.model_dump() for name, one in known().items()})
