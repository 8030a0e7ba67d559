"""accelerators: the profiles that can be emulated."""

from __future__ import annotations

from feedbench.bench.commands.options import Json
from feedbench.bench.commands.output import console, print_parts


def accelerators(json: Json = None) -> None:
    """A rate is valid for the network, batch size, image size and precision listed with it.

    feedbench calibrate adds a profile of this machine.
    """
    from feedbench.bench.files import write_json
    from feedbench.bench.plan.accelerators import accelerators as all_profiles
    from feedbench.bench.report.profiles import profiles_table

    profiles = all_profiles()
    print_parts(console(), [profiles_table(profiles)])
    if json is not None:
        write_json(json, {name: profile.model_dump() for name, profile in profiles.items()})
