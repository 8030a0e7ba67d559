"""Meters NVIDIA GPUs by NVML, at most as often as NVML updates its values."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing, suppress
from typing import Any, Self

from feedbench.bench.meters.gpm import Gpm
from feedbench.bench.meters.mig import instance_of, instances
from feedbench.bench.meters.sampling import Readings, Sample, Sampler, sample_now, samples_during
from feedbench.bench.record import Gpu, TimedBlock
from feedbench.loaders import LOADERS

_COUNT = "FEEDBENCH_GPUS"  # variable: how many are used, 1 by default
PERIOD_S = 1.0  # NVML updates utilization every 1/6 s to 1 s, depending on the GPU
_KILOBYTE = 1_000
_EXCLUSIVE = (1, 3)  # NVML's compute modes: one thread, as it was once called, or one process

_UNNAMED = "NVIDIA GPU"  # where the driver does not say which

NumberedGpu = tuple[int, Any]  # NVML's index, and a handle of the GPU or of one of its instances

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
    """Samples some GPUs on one thread, inside a `with` block."""

    def __init__(
        self,
        devices: Sequence[NumberedGpu],
        period_s: float = PERIOD_S,
        is_needed: Callable[[], bool] = lambda: True,
    ) -> None:
        """Create the meter; `devices` comes from `training_gpus`."""
        self._devices = devices
        self._period_s = period_s
        self._is_needed = is_needed
        self._samples: list[list[Sample]] = [[] for _ in devices]
        self._gpms: list[Gpm | None] = [None for _ in devices]
        self._open = ExitStack()

    def __enter__(self) -> Self:
        if self._devices:
            self._gpms = [Gpm.open(handle) for _, handle in self._devices]
            for gpm in filter(None, self._gpms):
                self._open.enter_context(closing(gpm))
            # Entered last, so that the thread has ended before the GPMs that it reads are closed.
            self._open.enter_context(Sampler(self.sample, self._period_s, self._is_needed))
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


def find_gpus() -> list[NumberedGpu]:
    """Return index and NVML handle of each GPU that this process may use, in CUDA's order.

    CUDA_VISIBLE_DEVICES chooses among them by number, by UUID or its beginning, or as a MIG
    instance. GPUs that the driver does not let this process open are left out. If one is divided,
    CUDA computes on a single instance, and on no other GPU: only the first is returned.
    """
    import pynvml

    try:
        pynvml.nvmlInit()
        count = pynvml.nvmlDeviceGetCount()
    except pynvml.NVMLError:
        return []
    gpus = [(index, handle) for index in range(count) if (handle := _opened(index)) is not None]
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if visible is None:
        return _enumerated(gpus)
    named = (_find(name.strip(), gpus) for name in visible.split(","))
    # As CUDA does: the first name that fits no GPU hides all that follow.
    return _enumerated(gpu for gpu in itertools.takewhile(bool, named) if gpu)


def _enumerated(gpus: Iterable[NumberedGpu]) -> list[NumberedGpu]:
    """Return those that CUDA lets one process use: whole GPUs, or one instance of a divided one.

    Source: NVIDIA Multi-Instance GPU User Guide, "CUDA Device Enumeration".
    """
    whole: list[NumberedGpu] = []
    for index, handle in gpus:
        parts = [handle] if instance_of(handle) else instances(handle)
        if parts:
            return [(index, parts[0])]
        if parts is None:
            whole.append((index, handle))
    return whole


def training_gpus(most: int | None = None) -> list[NumberedGpu]:
    """Return the GPUs that trials and trainings use: the first of `find_gpus`; empty without one.

    With `use_gpus`, several.

    Args:
        most: how many at most; None for as many as are used.
    """
    return find_gpus()[: int(os.environ.get(_COUNT, "1"))][:most]


def use_gpus(count: int) -> None:
    """Have this process and its children use this many GPUs from now on."""
    os.environ[_COUNT] = str(count)


def gpu_environment(most: int | None = None) -> dict[str, str]:
    """Return the variables by which CUDA sees only the GPUs that trials and trainings use.

    TensorFlow would otherwise reserve memory on every GPU.

    Args:
        most: how many at most, for a process that uses fewer than the others.
    """
    environment = {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}  # as NVML counts, not the fastest first
    if names := list(filter(None, (_uuid(handle) for _, handle in training_gpus(most)))):
        environment["CUDA_VISIBLE_DEVICES"] = ",".join(names)
    return environment


def hidden_from(loader: str) -> dict[str, str] | None:
    """Return the variables that hide the GPU from a process that only loads images.

    TensorFlow would otherwise take some of its memory, or all of a GPU in exclusive mode. None for
    a loader that may use the GPU itself: a user's function, or another library.
    """
    known = LOADERS.get(loader)
    return None if known is None or known.is_guest else {"CUDA_VISIBLE_DEVICES": ""}


def _opened(index: int) -> Any | None:
    """Return the handle of a GPU; None if it may not be opened, as in a job with other GPUs."""
    import pynvml

    with suppress(pynvml.NVMLError):
        return pynvml.nvmlDeviceGetHandleByIndex(index)
    return None


def _find(name: str, gpus: Sequence[NumberedGpu]) -> NumberedGpu | None:
    """Return the GPU that an entry of CUDA_VISIBLE_DEVICES names; None if there is none."""
    if name.startswith("MIG-"):
        return _find_instance(name)
    if name.startswith("GPU-"):
        found = [(index, handle) for index, handle in gpus if _uuid(handle).startswith(name)]
        return found[0] if len(found) == 1 else None
    return next((gpu for gpu in gpus if str(gpu[0]) == name), None)


def _find_instance(uuid: str) -> NumberedGpu | None:
    """Return the index of the GPU of a MIG instance, and the handle of the instance."""
    import pynvml

    with suppress(pynvml.NVMLError):
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        gpu = pynvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(handle)
        return pynvml.nvmlDeviceGetIndex(gpu), handle
    return None


def _uuid(handle: Any) -> str:
    """Return the UUID of a GPU or an instance; empty if the driver keeps it to itself."""
    import pynvml

    with suppress(pynvml.NVMLError):
        return str(pynvml.nvmlDeviceGetUUID(handle))
    return ""


def gpu_name(handle: Any) -> str:
    """Return the name of a GPU or an instance."""
    import pynvml

    with suppress(pynvml.NVMLError):
        return str(pynvml.nvmlDeviceGetName(handle))
    return _UNNAMED


def gpu_memory(gpus: Sequence[NumberedGpu]) -> int | None:
    """Return the bytes of the smallest of some GPUs; None if none reports them."""
    return _least_memory(gpus, "total")


def free_gpu_memory(gpus: Sequence[NumberedGpu]) -> int | None:
    """Return the free bytes of the fullest of some GPUs; None if none reports them."""
    return _least_memory(gpus, "free")


def _least_memory(gpus: Sequence[NumberedGpu], field: str) -> int | None:
    import pynvml

    sizes = []
    for _, handle in gpus:
        with suppress(pynvml.NVMLError):
            sizes.append(int(getattr(pynvml.nvmlDeviceGetMemoryInfo(handle), field)))
    return min(sizes, default=None)


def takes_one_process(gpus: Sequence[NumberedGpu]) -> bool:
    """Return whether a GPU is in exclusive mode: a second process would find no GPU at all.

    TensorFlow then trains on the CPU without an error.
    """
    return any(_compute_mode(handle) in _EXCLUSIVE for _, handle in gpus)


def _compute_mode(handle: Any) -> int:
    import pynvml

    with suppress(pynvml.NVMLError):
        return int(pynvml.nvmlDeviceGetComputeMode(handle))
    return 0
