"""MIG: the instances of a GPU that is divided into several, as CUDA and NVML know them."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, NamedTuple


class Instance(NamedTuple):
    """A GPU instance.

    Attributes:
        gpu: NVML's handle of the GPU that it is a part of.
        number: of the instance on that GPU, as GPM counts.
    """

    gpu: Any
    number: int


def instances(gpu: Any) -> list[Any] | None:
    """Return the handles of the instances of a GPU; None if it is not divided.

    CUDA computes on one instance, never on a divided GPU itself.
    """
    import pynvml

    try:
        mode, _ = pynvml.nvmlDeviceGetMigMode(gpu)
        if mode != pynvml.NVML_DEVICE_MIG_ENABLE:
            return None
        count = pynvml.nvmlDeviceGetMaxMigDeviceCount(gpu)
    except pynvml.NVMLError:
        return None
    found = []
    for index in range(count):
        with suppress(pynvml.NVMLError):  # as many as could be made, not all of which were
            found.append(pynvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu, index))
    return found


def instance_of(handle: Any) -> Instance | None:
    """Return which instance a handle is; None if it is a whole GPU."""
    import pynvml

    with suppress(pynvml.NVMLError):
        gpu = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
        return Instance(gpu, int(pynvml.nvmlDeviceGetGpuInstanceId(handle)))
    return None
