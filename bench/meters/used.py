"""Which GPU a process computes on, as CUDA tells it, and which of NVML's GPUs that is."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from feedbench.bench.meters.gpu import NumberedGpu
from feedbench.bench.meters.mig import instance_of

_ID_BYTES = 32  # of "0000:3b:00.0", with room to spare
_SUCCESS = 0


def pci_bus_id(ordinal: int = 0, library: Any = None) -> str | None:
    """Return where a GPU is on the bus, such as `0000:3b:00.0`; None if CUDA does not say.

    Args:
        ordinal: number of the GPU among those that this process sees, as every framework counts.
        library: CUDA's driver library; by default that of the system.
    """
    with suppress(OSError, AttributeError):
        cuda = library or ctypes.CDLL("libcuda.so.1")
        device, text = ctypes.c_int(), ctypes.create_string_buffer(_ID_BYTES)
        if (
            cuda.cuInit(0) == _SUCCESS
            and cuda.cuDeviceGet(ctypes.byref(device), ordinal) == _SUCCESS
            and cuda.cuDeviceGetPCIBusId(text, _ID_BYTES, device) == _SUCCESS
        ):
            return text.value.decode("ascii").lower()
    return None


def metered(
    gpus: Sequence[NumberedGpu], used: str | None, *, on_cpu: bool = False
) -> list[NumberedGpu]:
    """Return what to meter of a process: the GPU that it uses, whatever was expected.

    Args:
        gpus: that it was expected to use.
        used: from `pci_bus_id`; None if unknown, or if it uses several.
        on_cpu: whether it trains on the CPU, so that a GPU's readings would be those of others.
    """
    if on_cpu:
        return []
    if used is None:
        return list(gpus)
    return [gpu for gpu in gpus if _bus_id(gpu[1]) == used] or _at(used) or list(gpus)


def _at(bus_id: str) -> list[NumberedGpu]:
    import pynvml

    with suppress(pynvml.NVMLError):
        handle = pynvml.nvmlDeviceGetHandleByPciBusId(bus_id.encode())
        return [(int(pynvml.nvmlDeviceGetIndex(handle)), handle)]
    return []


def _bus_id(handle: Any) -> str | None:
    """Return where a GPU, or that of an instance, is on the bus, as CUDA writes it."""
    import pynvml

    instance = instance_of(handle)
    with suppress(pynvml.NVMLError):
        place = pynvml.nvmlDeviceGetPciInfo(instance.gpu if instance else handle)
        return f"{place.domain:04x}:{place.bus:02x}:{place.device:02x}.0"
    return None
