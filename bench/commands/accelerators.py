"""accelerators: the profiles that can be emulated."""

from __future__ import annotations

from typing import TYPE_CHECKING

from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import console

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rich.table import Table

    from feedbench.bench.plan.accelerators import Accelerator


def accelerators(json: Json = None) -> None:
    """A rate holds for the network, batch size, image size and precision listed with it.

    feedbench calibrate adds a profile of this machine.
    """
    from feedbench.bench.files import write_json
    from feedbench.bench.plan.accelerators import accelerators as all_profiles

    profiles, terminal = all_profiles(), console()
    terminal.print(_table(profiles))
    for name, profile in profiles.items():
        terminal.print(f"{name}: {profile.source}.", highlight=False, markup=False)
    if json is not None:
        write_json(json, {name: profile.model_dump() for name, profile in profiles.items()})


def _table(profiles: Mapping[str, Accelerator]) -> Table:
    """Return one row per profile; devices, networks and precisions wrap at words."""
    from feedbench.bench.report.layout import new_table

    table = new_table(show_lines=True)
    table.add_column("name", overflow="fold")
    table.add_column("device", overflow="fold")
    for title in ("images/s", "batch", "px"):
        table.add_column(title, justify="right", no_wrap=True)
    for title in ("network", "precision"):
        table.add_column(title, overflow="fold")
    for name, profile in profiles.items():
        table.add_row(
            name,
            profile.device,
            f"{profile.images_per_second:,.0f}",
            str(profile.batch_size),
            str(profile.image_size),
            profile.network_text(),
            profile.precision,
        )
    return table
