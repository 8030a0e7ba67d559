"""A simulated driver of GPUs, in NVML's own structures."""

import ctypes
from itertools import count

import pynvml
import pytest

REFUSED = pynvml.NVML_ERROR_NOT_SUPPORTED
INSTANCES = 7_000  # handles of instances begin here; those of GPUs at 1_000


class Driver:
    """A fake driver: C functions that fill NVML's own structures, as pynvml passes them.

    The first GPU reports everything; the second has no GPM and does not report its utilization. If
    it is `divided`, it has two instances, and GPM.
    """

    def __init__(self) -> None:
        self.busy = iter([37, 83, 91] + [100] * 1000)
        self.allocated: set[int] = set()
        self.numbers = count(1)
        self.sampled: dict[int, int] = {}
        self.between: list[tuple[int, int]] = []
        self.refused: set[str] = set()
        self.missing: set[str] = set()
        self.metric_refused = False
        self.forbidden: set[int] = set()
        self.utilization = 31.25
        self.divided = False
        self.exclusive = False
        self.instance_samples: list[tuple[int, int]] = []

    def function(self, name: str):
        if name in self.missing or not hasattr(self, name):
            raise pynvml.NVMLError(pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)
        return (lambda *_: REFUSED) if name in self.refused else getattr(self, name)

    def nvmlInitWithFlags(self, flags) -> int:
        return 0

    def nvmlDeviceGetCount_v2(self, out) -> int:
        out._obj.value = 2
        return 0

    def nvmlDeviceGetHandleByIndex_v2(self, index, out) -> int:
        if index.value in self.forbidden:
            return pynvml.NVML_ERROR_NO_PERMISSION
        return put(out, 1_000 + index.value, pynvml.c_nvmlDevice_t)

    def nvmlDeviceGetHandleByUUID(self, uuid, out) -> int:
        if uuid.value != b"MIG-7":
            return pynvml.NVML_ERROR_NOT_FOUND
        return put(out, INSTANCES, pynvml.c_nvmlDevice_t)

    def nvmlDeviceGetDeviceHandleFromMigDeviceHandle(self, instance, out) -> int:
        if address(instance) < INSTANCES:
            return pynvml.NVML_ERROR_INVALID_ARGUMENT
        return put(out, 1_001, pynvml.c_nvmlDevice_t)

    def nvmlDeviceGetGpuInstanceId(self, instance, out) -> int:
        out._obj.value = address(instance) - INSTANCES + 1
        return 0

    def nvmlDeviceGetMigMode(self, handle, current, pending) -> int:
        if address(handle) != 1_001:
            return REFUSED
        current._obj.value = int(self.divided)
        return 0

    def nvmlDeviceGetMaxMigDeviceCount(self, handle, out) -> int:
        out._obj.value = 7
        return 0

    def nvmlDeviceGetMigDeviceHandleByIndex(self, handle, index, out) -> int:
        if index.value > 1:
            return pynvml.NVML_ERROR_NOT_FOUND
        return put(out, INSTANCES + index.value, pynvml.c_nvmlDevice_t)

    def nvmlDeviceGetComputeMode(self, handle, out) -> int:
        out._obj.value = pynvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS if self.exclusive else 0
        return 0

    def nvmlDeviceGetPciInfo_v3(self, handle, out) -> int:
        out._obj.domain, out._obj.bus, out._obj.device = 0, 0x3A + address(handle) - 1_000, 0
        return 0

    def nvmlDeviceGetHandleByPciBusId_v2(self, place, out) -> int:
        number = int(place.value.split(b":")[1], 16) - 0x3A
        return self.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(number), out)

    def nvmlDeviceGetIndex(self, handle, out) -> int:
        out._obj.value = address(handle) - 1_000
        return 0

    def nvmlDeviceGetUUID(self, handle, out, size) -> int:
        number = address(handle)
        is_instance = number >= INSTANCES
        name = f"MIG-{number - INSTANCES + 7}" if is_instance else f"GPU-{number - 1_000}f00"
        out.value = name.encode()
        return 0

    def nvmlDeviceGetUtilizationRates(self, handle, out) -> int:
        if address(handle) != 1_000:
            return REFUSED
        out._obj.gpu, out._obj.memory = next(self.busy), 20
        return 0

    def nvmlDeviceGetMemoryInfo(self, handle, out) -> int:
        out._obj.used, out._obj.free = 5_000_000, 1_000_000
        return 0

    def nvmlDeviceGetPowerUsage(self, handle, out) -> int:
        out._obj.value = 287_654  # milliwatts
        return 0

    def nvmlDeviceGetClockInfo(self, handle, kind, out) -> int:
        out._obj.value = {pynvml.NVML_CLOCK_SM: 1_410, pynvml.NVML_CLOCK_MEM: 1_593}[kind.value]
        return 0

    def nvmlDeviceGetPcieThroughput(self, handle, counter, out) -> int:
        out._obj.value = {0: 1_500, 1: 250_000}[counter.value]  # kilobytes; 1 is received
        return 0

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle, out) -> int:
        out._obj.value = (
            pynvml.nvmlClocksEventReasonSwPowerCap | pynvml.nvmlClocksEventReasonHwThermalSlowdown
        )
        return 0

    def nvmlDeviceGetCurrentClocksThrottleReasons(self, handle, out) -> int:
        out._obj.value = pynvml.nvmlClocksThrottleReasonGpuIdle
        return 0

    def nvmlGpmQueryDeviceSupport(self, handle, out) -> int:
        assert out._obj.version == pynvml.NVML_GPM_SUPPORT_VERSION
        out._obj.isSupportedDevice = int(self.divided or address(handle) == 1_000)
        return 0

    def nvmlGpmSampleAlloc(self, out) -> int:
        number = next(self.numbers)
        self.allocated.add(number)
        return put(out, number, pynvml.c_nvmlGpmSample_t)

    def nvmlGpmSampleFree(self, sample) -> int:
        self.allocated.remove(address(sample))
        return 0

    def nvmlGpmSampleGet(self, handle, sample) -> int:
        assert address(sample) in self.allocated
        self.sampled[address(sample)] = next(self.numbers)
        return 0

    def nvmlGpmMigSampleGet(self, handle, number, sample) -> int:
        self.instance_samples.append((address(handle), number))
        return self.nvmlGpmSampleGet(handle, sample)

    def nvmlGpmMetricsGet(self, query) -> int:
        request = query._obj
        assert request.version == pynvml.NVML_GPM_METRICS_GET_VERSION
        both = (self.sampled[address(request.sample1)], self.sampled[address(request.sample2)])
        self.between.append(both)
        values = {
            pynvml.NVML_GPM_METRIC_SM_UTIL: self.utilization,
            pynvml.NVML_GPM_METRIC_PCIE_RX_PER_SEC: 64.0,
            pynvml.NVML_GPM_METRIC_PCIE_TX_PER_SEC: 2.0,
        }
        for metric in request.metrics[: request.numMetrics]:
            metric.value = values[metric.metricId]
            metric.nvmlReturn = 0
        if self.metric_refused:
            request.metrics[0].nvmlReturn = REFUSED
        return 0


def put(out, value: int, kind) -> int:
    ctypes.pointer(out._obj)[0] = ctypes.cast(value, kind)
    return 0


def address(pointer) -> int:
    return ctypes.cast(pointer, ctypes.c_void_p).value


@pytest.fixture
def driver(monkeypatch) -> Driver:
    driver = Driver()
    monkeypatch.setattr(pynvml, "_LoadNvmlLibrary", lambda: None)
    monkeypatch.setattr(pynvml, "_nvmlGetFunctionPointer", driver.function)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return driver
