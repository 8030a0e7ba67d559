"""GPUs that are divided, hidden, in exclusive mode, or not those that were expected."""

import ctypes
import time

import pynvml
import pytest

from feedbench.bench.meters import gpu
from feedbench.bench.meters.used import metered, pci_bus_id
from feedbench.bench.record import Block
from feedbench.loaders import DEFAULT_LOADER

BLOCK = {"images": 1, "wait_s": [], "step_s": []}


def addresses(gpus) -> list[int]:
    return [ctypes.cast(handle, ctypes.c_void_p).value for _, handle in gpus]


@pytest.mark.parametrize(
    ("visible", "handles"),
    [
        (None, [7_000]),  # an instance hides the GPU beside it, and the other instances
        ("0", [1_000]),
        ("1", [7_000]),
        ("0,1", [7_000]),
        ("0,MIG-7", [7_000]),
        ("MIG-7,MIG-7", [7_000]),
        ("GPU-0,3,1", [1_000]),
    ],
)
def test_a_process_uses_whole_gpus_or_one_instance(visible, handles, driver, monkeypatch):
    driver.divided = True
    if visible is not None:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert addresses(gpu.find_gpus()) == handles


def test_a_divided_gpu_without_instances_leaves_the_others(driver):
    driver.divided = True
    driver.refused = {"nvmlDeviceGetMigDeviceHandleByIndex"}
    assert addresses(gpu.find_gpus()) == [1_000]


def test_a_divided_gpu_is_no_several_devices(driver, monkeypatch):
    driver.divided = True
    monkeypatch.setenv("FEEDBENCH_GPUS", "2")
    assert addresses(gpu.training_gpus()) == [7_000]
    assert gpu.gpu_environment()["CUDA_VISIBLE_DEVICES"] == "MIG-7"


def test_the_readings_of_an_instance_are_its_own(driver, monkeypatch):
    driver.divided = True
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-7")
    began = time.perf_counter()
    with gpu.GpuMeter(gpu.training_gpus(), period_s=100) as meter:
        meter._period_s = 0
        meter.sample()
        (read,) = meter.readings(Block(began=began, seconds=time.perf_counter() - began, **BLOCK))
    assert (read.index, read.multiprocessors) == (1, [0.3125])
    assert set(driver.instance_samples) == {(1_001, 1)}


def test_a_gpu_in_exclusive_mode_takes_one_process(driver):
    assert not gpu.takes_one_process(gpu.find_gpus())
    driver.exclusive = True
    assert gpu.takes_one_process(gpu.find_gpus())
    assert not gpu.takes_one_process([])
    driver.refused = {"nvmlDeviceGetComputeMode"}
    assert not gpu.takes_one_process(gpu.find_gpus())


def test_a_driver_that_permits_nothing_still_gives_a_gpu(driver):
    driver.refused = {name for name in dir(driver) if name.startswith("nvmlDeviceGet")} - {
        "nvmlDeviceGetCount_v2",
        "nvmlDeviceGetHandleByIndex_v2",
    }
    ((index, handle),) = gpu.training_gpus()
    assert (index, gpu.gpu_name(handle)) == (0, "NVIDIA GPU")
    assert gpu.gpu_environment() == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID"}
    assert gpu.gpu_memory(gpu.training_gpus()) is None
    assert addresses(metered(gpu.training_gpus(), "0000:3b:00.0")) == [1_000]


@pytest.mark.parametrize(
    ("used", "handles"),
    [
        ("0000:3a:00.0", [1_000]),
        ("0000:3b:00.0", [1_001]),  # another than was expected
        ("0000:99:00.0", [1_000]),  # hidden from NVML
        (None, [1_000]),
    ],
)
def test_only_the_gpu_that_is_used_is_metered(driver, used, handles):
    driver.forbidden = {0x99 - 0x3A}
    assert addresses(metered(gpu.training_gpus(), used)) == handles


def test_no_gpu_is_metered_where_the_cpu_trains(driver):
    assert metered(gpu.training_gpus(), None, on_cpu=True) == []


def test_the_gpu_of_an_instance_is_found_by_its_place(driver, monkeypatch):
    driver.divided = True
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "MIG-8")
    monkeypatch.setattr(driver, "nvmlDeviceGetHandleByUUID", _second_instance)
    assert addresses(metered(gpu.training_gpus(), "0000:3b:00.0")) == [7_001]


def _second_instance(uuid, out) -> int:
    ctypes.pointer(out._obj)[0] = ctypes.cast(7_001, pynvml.c_nvmlDevice_t)
    return 0


def test_a_process_that_only_loads_sees_no_gpu_unless_it_may_use_it():
    assert gpu.hidden_from(DEFAULT_LOADER) == {"CUDA_VISIBLE_DEVICES": ""}
    assert gpu.hidden_from("dali") is None
    assert gpu.hidden_from("pipeline.py:make_dataset") is None


class Cuda:
    """CUDA's driver library, with as many GPUs."""

    def __init__(self, gpus: int) -> None:
        self.gpus = gpus

    def cuInit(self, flags) -> int:
        return 0 if self.gpus else 100  # CUDA_ERROR_NO_DEVICE

    def cuDeviceGet(self, device, ordinal) -> int:
        device._obj.value = 40 + ordinal
        return 0 if ordinal < self.gpus else 101  # CUDA_ERROR_INVALID_DEVICE

    def cuDeviceGetPCIBusId(self, text, size, device) -> int:
        text.value = f"0000:{device.value:02X}:00.0".encode()
        return 0


def test_cuda_says_which_gpu_a_process_computes_on():
    assert pci_bus_id(0, Cuda(1)) == "0000:28:00.0"
    assert pci_bus_id(2, Cuda(3)) == "0000:2a:00.0"
    assert pci_bus_id(1, Cuda(1)) is None
    assert pci_bus_id(0, Cuda(0)) is None


def test_one_device_of_several_sees_its_gpu_alone_and_is_metered_alone(driver, monkeypatch):
    monkeypatch.setenv("FEEDBENCH_GPUS", "2")
    both = gpu.training_gpus()
    assert gpu.gpu_environment()["CUDA_VISIBLE_DEVICES"].count(",") == 1
    seen = gpu.gpu_environment(1)["CUDA_VISIBLE_DEVICES"]
    assert addresses(metered(both, "0000:3b:00.0")) == [1_001]
    assert addresses(metered(both, None)) == [1_000, 1_001]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", seen)
    assert addresses(gpu.training_gpus()) == [1_000]
