"""Meters read what was really used."""

import subprocess
import sys
import time
from types import SimpleNamespace

from bench.meters import gpu
from bench.meters.process import available_memory

MEASURED = """
import subprocess, sys, time
from bench.meters.process import tree_usage
busy = "import time; e = time.process_time() + 0.5\\nwhile time.process_time() < e: pass\\ninput()"
before = tree_usage()
with subprocess.Popen([sys.executable, "-c", busy], stdin=subprocess.PIPE) as child:
    deadline = time.monotonic() + 30
    while tree_usage().since(before).cpu_s < 0.45 and time.monotonic() < deadline:
        time.sleep(0.05)
    print(tree_usage().since(before).cpu_s)
    child.communicate(b"\\n")
"""


def test_processor_time_of_children_is_counted():
    # In a process of its own: what other tests have left to end would be counted too.
    told = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True
    )
    assert float(told.stdout) >= 0.45


def test_peak_memory_remembers_what_was_freed():
    code = (
        "from bench.meters.process import tree_peak_memory as peak\n"
        "before = peak(); held = b'1' * 300_000_000; del held; print(peak() - before)"
    )
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 250_000_000 < int(grown.stdout) < 400_000_000


def test_available_memory_is_below_that_of_the_machine():
    assert 0 < available_memory() < 1e15


class StandInNvml:
    """Made-up readings in the form that NVML gives; the second GPU cannot tell its utilization."""

    NVMLError = RuntimeError

    def __init__(self) -> None:
        self.busy = {0: iter([37, 83, 91] + [100] * 1000)}

    def nvmlInit(self) -> None: ...

    def nvmlDeviceGetCount(self) -> int:
        return 2

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:
        return index

    def nvmlDeviceGetUUID(self, handle: int) -> str:
        return f"GPU-{handle}"

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:
        if handle == 1:
            raise self.NVMLError("not supported")
        return SimpleNamespace(gpu=next(self.busy[handle]))

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:
        return SimpleNamespace(used=5_000_000, free=1_000_000)


def test_the_gpu_meter_keeps_raw_samples_and_leaves_out_what_fails(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", StandInNvml())
    meter = gpu.GpuMeter(gpu.find_gpus())
    meter.sample()
    meter.sample()
    assert meter.readings[0].utilization == [0.37, 0.83]
    assert meter.readings[0].memory_bytes == [5_000_000] * 2
    assert meter.readings[1].utilization == []


def test_the_gpu_meter_samples_only_inside_its_with(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", StandInNvml())
    with gpu.GpuMeter(gpu.find_gpus(), period_s=0.01) as meter:
        time.sleep(0.2)
    taken = len(meter.readings[0].utilization)
    time.sleep(0.1)
    assert 1 <= taken == len(meter.readings[0].utilization)


def test_only_visible_gpus_are_metered(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", StandInNvml())
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert [index for index, _ in gpu.find_gpus()] == [1]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "GPU-0")
    assert [index for index, _ in gpu.find_gpus()] == [0]


def test_without_a_driver_there_is_no_gpu_and_no_reading():
    meter = gpu.GpuMeter([])
    with meter:
        pass
    assert meter.readings == []
