"""The devices that a command trains on: as many as were asked for, if they are there."""

from __future__ import annotations

from feedbench.bench.commands.model_options import OptionValues
from feedbench.bench.plan.plan import Suite
from feedbench.trainer import ALL, ONE, check_count, device_count, is_of_cpu


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
