"""Utilization and memory of NVIDIA GPUs, read from NVML no faster than it renews them."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

PERIOD_S = 1.0  # NVML renews utilization every 1/6 s to 1 s, by GPU


@dataclass
class GpuReadings:
    """What NVML told of one GPU in one block: its samples, raw.

    Attributes:
        utilization: share of the period in which at least one kernel ran, 0 to 1.
        memory_bytes: memory in use on the whole GPU.
    """

    index: int
    utilization: list[float] = field(default_factory=list)
    memory_bytes: list[int] = field(default_factory=list)


class GpuMeter:
    """Samples every visible GPU on a thread of its own, inside a `with`. No GPU: no readings."""

    def __init__(self, devices: Sequence[tuple[int, Any]], period_s: float = PERIOD_S) -> None:
        """Meter the devices of `find_gpus`."""
        self._devices = devices
        self._period_s = period_s
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._sample_until_done, daemon=True)
        self.readings = [GpuReadings(index) for index, _ in devices]

    def __enter__(self) -> Self:
        if self._devices:
            self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        if self._devices:
            self._thread.join()

    def _sample_until_done(self) -> None:
        # The first sample after one period: before, NVML still tells of what ran earlier.
        while not self._done.wait(self._period_s):
            self.sample()

    def sample(self) -> None:
        """Read each GPU once; a reading that fails is left out."""
        import pynvml

        for readings, (_, handle) in zip(self.readings, self._devices, strict=True):
            with suppress(pynvml.NVMLError):
                rates = pynvml.nvmlDeviceGetUtilizationRates(handle)
                memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
                readings.utilization.append(rates.gpu / 100)
                readings.memory_bytes.append(int(memory.used))


def find_gpus() -> list[tuple[int, Any]]:
    """Index and NVML handle of each NVIDIA GPU that CUDA_VISIBLE_DEVICES leaves visible."""
    import pynvml

    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError:
        return []
    handles = [(index, pynvml.nvmlDeviceGetHandleByIndex(index)) for index in range(count)]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return handles
    named = [name.strip() for name in visible.split(",")]
    return [
        (index, handle)
        for index, handle in handles
        if str(index) in named or pynvml.nvmlDeviceGetUUID(handle) in named
    ]


def gpu_name(handle: Any) -> str:
    """What NVML calls the GPU."""
    import pynvml

    return str(pynvml.nvmlDeviceGetName(handle))


def free_gpu_memory(handle: Any) -> int:
    """Bytes that no process holds."""
    import pynvml

    return int(pynvml.nvmlDeviceGetMemoryInfo(handle).free)
