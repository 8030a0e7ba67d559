"""The devices that a command trains on: as many as were asked for, if they are there."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from feedbench.bench.commands.again import with_consumer
from feedbench.bench.commands.model_options import OptionValues
from feedbench.bench.commands.output import console
from feedbench.bench.plan.plan import Suite
from feedbench.trainer import ALL, ONE, Recipe, check_count, device_count, is_of_cpu

_EMULATED = "emulated:a100"  # as an example
_SMALLER = "For a smaller network, add --alpha 0.35 --image-size 96. "


def chosen_devices(given: OptionValues, default: str = ONE) -> str:
    """Return the devices of `--devices`, which are used from now on; see `used_devices`."""
    return used_devices(given[Suite].get("devices", default))


def used_devices(devices: str) -> str:
    """Return the devices as a number or cpu:N, and have this process and its children use them.

    Raises:
        DevicesError: there are fewer here.
    """
    from feedbench.bench.meters.gpu import find_gpus, use_gpus

    if devices == ONE:  # also without a GPU
        return ONE
    if not is_of_cpu(devices):
        gpus = len(find_gpus())
        devices = str(max(1, gpus)) if devices == ALL else devices
        check_count(devices, gpus)
    use_gpus(0 if is_of_cpu(devices) else device_count(devices))
    return devices


def warn_of_cpu(consumer: str, recipe: Recipe, devices: str = ONE) -> None:
    """Print a line on standard error if this command trains on the CPU because there is no GPU."""
    if note := cpu_note(consumer, recipe, devices, sys.argv[1:]):
        console(to_errors=True).print(note, style="yellow", markup=False, soft_wrap=True)


def cpu_note(consumer: str, recipe: Recipe, devices: str, arguments: Sequence[str]) -> str:
    """Return a line if batches are trained on by the CPU, since no GPU was found; else empty.

    Args:
        arguments: of the command line, which the suggested command repeats.
    """
    from feedbench.bench.meters.gpu import find_gpus

    if consumer != "train" or is_of_cpu(devices) or find_gpus():
        return ""
    network, built_in = recipe.network, Recipe()
    is_full = (network, recipe.alpha) == (built_in.network, built_in.alpha)
    return (
        f"No NVIDIA GPU was found: {network} is trained on the CPU, where a step may take "
        f"seconds. {_SMALLER if is_full else ''}To emulate a GPU instead: "
        f"{with_consumer(arguments, _EMULATED)}"
    )
