"""Meters NVIDIA GPUs by NVML, at most as often as NVML updates its values."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from typing import Any, Self

from feedbench.bench.meters.gpm import Gpm
from feedbench.bench.meters.sampling import Readings, Sample, Sampler, sample_now, samples_during
from feedbench.bench.record import Gpu, TimedBlock

PERIOD_S = 1.0  # NVML updates utilization every 1/6 s to 1 s, depending on the GPU
_KILOBYTE = 1_000

# Reasons why a GPU's clocks are below their maximum. Bit 1, idle, is not throttling.
# Source: NVML API reference, "NvmlClocksEventReasons".
_THROTTLING = {
    0x002: "clocks set by the user",
    0x004: "power cap",
    0x008: "hardware slowdown",
    0x010: "sync boost",
    0x020: "heat (software)",
    0x040: "heat (hardware)",
    0x080: "power brake",
    0x100: "display clocks",
}


def throttling(clock_reasons: int) -> list[str]:
    """Return the names of the reasons in NVML's bits; empty if the GPU is only idle."""
    return [name for bit, name in _THROTTLING.items() if clock_reasons & bit]


class GpuMeter:
    """Samples every visible GPU on one thread, inside a `with` block."""

    def __init__(self, devices: Sequence[tuple[int, Any]], period_s: float = PERIOD_S) -> None:
        """Create the meter; `devices` comes from `find_gpus`."""
        self._devices = devices
        self._period_s = period_s
        self._samples: list[list[Sample]] = [[] for _ in devices]
        self._gpms: list[Gpm | None] = [None for _ in devices]
        self._open = ExitStack()

    def __enter__(self) -> Self:
        if self._devices:
            self._gpms = [Gpm.open(handle) for _, handle in self._devices]
            for gpm in filter(None, self._gpms):
                self._open.enter_context(closing(gpm))
            # Entered last, so that the thread has ended before the GPMs that it reads are closed.
            self._open.enter_context(Sampler(self.sample, self._period_s))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()
        self._gpms = [None for _ in self._devices]

    def sample(self) -> None:
        """Read each GPU once; leave out readings that fail."""
        for (_, handle), gpm, samples in zip(self._devices, self._gpms, self._samples, strict=True):
            samples.append(sample_now(_read(handle, gpm)))

    def latest(self, reading: str) -> list[float]:
        """Return one reading from the latest sample of each GPU that reported it."""
        newest = [samples[-1].readings for samples in self._samples if samples]
        return [readings[reading] for readings in newest if reading in readings]

    def readings(self, block: TimedBlock) -> list[Gpu]:
        """Return each GPU's raw samples during a block whose start is known."""
        assert block.began is not None
        gpus = []
        for (index, _), samples in zip(self._devices, self._samples, strict=True):
            columns = samples_during(samples, block.began, block.seconds, self._period_s)
            values = {"at_s": columns.at_s, **columns.readings} if columns else {}
            gpus.append(Gpu.model_validate({"index": index, **values}))
        return gpus


Reader = Callable[[Any, Any], float]  # takes pynvml and a handle
_READERS: dict[str | int, Reader] = {
    "utilization": lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100,
    "memory_bytes": lambda nvml, gpu: int(nvml.nvmlDeviceGetMemoryInfo(gpu).used),
    "power_w": lambda nvml, gpu: round(nvml.nvmlDeviceGetPowerUsage(gpu) / 1_000, 1),
    "sm_clock_mhz": lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
    "memory_clock_mhz": lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM),
    "clock_reasons": lambda nvml, gpu: _clock_reasons(nvml, gpu),
}
# Each of these calls blocks for 20 ms and measures only the traffic in that time. GPM counts all
# traffic, so they are used only without GPM.
_PCIE_READERS: dict[str | int, Reader] = {
    "pcie_rx_bytes_per_s": lambda nvml, gpu: _pcie(nvml, gpu, nvml.NVML_PCIE_UTIL_RX_BYTES),
    "pcie_tx_bytes_per_s": lambda nvml, gpu: _pcie(nvml, gpu, nvml.NVML_PCIE_UTIL_TX_BYTES),
}


def _read(handle: Any, gpm: Gpm | None) -> Readings:
    import pynvml

    readings = gpm.read() if gpm else {}
    for name, read in {**_READERS, **_PCIE_READERS}.items():
        if name not in readings:
            with suppress(pynvml.NVMLError):
                readings[name] = read(pynvml, handle)
    return readings


def _pcie(nvml: Any, handle: Any, counter: int) -> int:
    return int(nvml.nvmlDeviceGetPcieThroughput(handle, counter)) * _KILOBYTE


def _clock_reasons(nvml: Any, handle: Any) -> int:
    """Return NVML's bits, by the older call if the driver or pynvml lacks the newer one."""
    with suppress(nvml.NVMLError, AttributeError):
        return int(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
    return int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))


def find_gpus() -> list[tuple[int, Any]]:
    """Return index and NVML handle of each GPU that CUDA_VISIBLE_DEVICES leaves visible."""
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
    names = [name.strip() for name in visible.split(",")]
    return [
        (index, handle)
        for index, handle in handles
        if str(index) in names or pynvml.nvmlDeviceGetUUID(handle) in names
    ]


def gpu_name(handle: Any) -> str:
    """Return the name of a GPU."""
    import pynvml

    return str(pynvml.nvmlDeviceGetName(handle))


def free_gpu_memory(handle: Any) -> int:
    """Return the free memory of a GPU in bytes."""
    import pynvml

    return int(pynvml.nvmlDeviceGetMemoryInfo(handle).free)
