"""What NVML tells of NVIDIA GPUs, read no faster than it renews it."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing, suppress
from types import TracebackType
from typing import Any, Self

from feedbench.bench.meters.gpm import Gpm
from feedbench.bench.meters.sampling import Figures, Sample, Sampler, during, now
from feedbench.bench.record import Gpu, TimedBlock

PERIOD_S = 1.0  # NVML renews utilization every 1/6 s to 1 s, by GPU
_KILOBYTE = 1_000

# Reasons for which a GPU's clocks are not at their highest; bit 1, that it idles, is no throttling.
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
    """Names of what holds the clocks down, from NVML's bits; none while the GPU merely idles."""
    return [name for bit, name in _THROTTLING.items() if clock_reasons & bit]


class GpuMeter:
    """Samples every visible GPU on a thread of its own, inside a `with`. No GPU: no readings."""

    def __init__(self, devices: Sequence[tuple[int, Any]], period_s: float = PERIOD_S) -> None:
        """Meter the devices of `find_gpus`."""
        self._devices = devices
        self._period_s = period_s
        self._samples: list[list[Sample]] = [[] for _ in devices]
        self._gpms: list[Gpm | None] = [None for _ in devices]
        self._open = ExitStack()

    def __enter__(self) -> Self:
        if self._devices:
            self._gpms = [Gpm.of(handle) for _, handle in self._devices]
            for gpm in filter(None, self._gpms):
                self._open.enter_context(closing(gpm))
            # Entered last, so that the thread has ended before what it reads is closed.
            self._open.enter_context(Sampler(self.sample, self._period_s))
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()
        self._gpms = [None for _ in self._devices]

    def sample(self) -> None:
        """Read each GPU once; a reading that fails is left out, alone."""
        for (_, handle), gpm, samples in zip(self._devices, self._gpms, self._samples, strict=True):
            samples.append(now(_read(handle, gpm)))

    def latest(self, reading: str) -> list[float]:
        """The newest sample's, of each GPU that told it."""
        newest = [samples[-1].figures for samples in self._samples if samples]
        return [figures[reading] for figures in newest if reading in figures]

    def readings(self, block: TimedBlock) -> list[Gpu]:
        """Raw samples of each GPU in a block that says when it began."""
        assert block.began is not None
        made = []
        for (index, _), samples in zip(self._devices, self._samples, strict=True):
            told = during(samples, block.began, block.seconds, self._period_s)
            values = {"at_s": told.at_s, **told.readings} if told else {}
            made.append(Gpu.model_validate({"index": index, **values}))
        return made


Reading = Callable[[Any, Any], float]  # of NVML and a handle
_READINGS: dict[str | int, Reading] = {
    "utilization": lambda nvml, gpu: nvml.nvmlDeviceGetUtilizationRates(gpu).gpu / 100,
    "memory_bytes": lambda nvml, gpu: int(nvml.nvmlDeviceGetMemoryInfo(gpu).used),
    "power_w": lambda nvml, gpu: round(nvml.nvmlDeviceGetPowerUsage(gpu) / 1_000, 1),
    "sm_clock_mhz": lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
    "memory_clock_mhz": lambda nvml, gpu: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_MEM),
    "clock_reasons": lambda nvml, gpu: _clock_reasons(nvml, gpu),
}
# Each blocks for the 20 ms that it measures: of the traffic between them it knows nothing. GPM
# counts all of it, so where there is GPM these are not asked.
_PCIE: dict[str | int, Reading] = {
    "pcie_rx_bytes_per_s": lambda nvml, gpu: _pcie(nvml, gpu, nvml.NVML_PCIE_UTIL_RX_BYTES),
    "pcie_tx_bytes_per_s": lambda nvml, gpu: _pcie(nvml, gpu, nvml.NVML_PCIE_UTIL_TX_BYTES),
}


def _read(handle: Any, gpm: Gpm | None) -> Figures:
    import pynvml

    told = gpm.read() if gpm else {}
    for name, read in {**_READINGS, **_PCIE}.items():
        if name not in told:
            with suppress(pynvml.NVMLError):
                told[name] = read(pynvml, handle)
    return told


def _pcie(nvml: Any, handle: Any, counter: int) -> int:
    return int(nvml.nvmlDeviceGetPcieThroughput(handle, counter)) * _KILOBYTE


def _clock_reasons(nvml: Any, handle: Any) -> int:
    """NVML's bits, by the call of newer drivers, or by that of older ones or of an older pynvml."""
    with suppress(nvml.NVMLError, AttributeError):
        return int(nvml.nvmlDeviceGetCurrentClocksEventReasons(handle))
    return int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))


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
