"""The devices that a command trains on: as many as were asked for, if they are there."""

from __future__ import annotations

from collections.abc import Sequence

from feedbench.bench.commands.again import with_consumer
from feedbench.bench.commands.model_options import OptionValues
from feedbench.bench.plan.plan import Plan, Suite
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


def cpu_note(plan: Plan, arguments: Sequence[str]) -> str:
    """Return a line if each block trains on the CPU, since no GPU was found; empty otherwise.

    Args:
        arguments: of the command line, which the suggested command repeats.
    """
    from feedbench.bench.meters.gpu import find_gpus

    if plan.consumer != "train" or is_of_cpu(plan.devices) or find_gpus():
        return ""
    network, built_in = plan.recipe.network, Recipe()
    is_full = (network, plan.recipe.alpha) == (built_in.network, built_in.alpha)
    return (
        f"No NVIDIA GPU was found: every block trains {network} on the CPU, where a step may take "
        f"seconds. {_SMALLER if is_full else ''}To emulate a GPU instead: "
        f"{with_consumer(arguments, _EMULATED)}"
    )
