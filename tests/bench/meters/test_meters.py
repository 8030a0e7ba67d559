"""Meters report what was really used."""

import mmap
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pynvml
import pytest

from feedbench.bench.meters import gpu
from feedbench.bench.meters.block import Meters
from feedbench.bench.meters.host import (
    PERIOD_S,
    Counters,
    HostMeter,
    Ticks,
    rates,
    read_counters,
)
from feedbench.bench.meters.sampling import Sample, interval_starts, samples_during
from feedbench.bench.record import Block, Host, TimedBlock
from feedbench.bench.trials.cache_state import evict, read_bytes
from feedbench.bench.trials.child import child_environment

MEASURED = """
import subprocess, sys, time
from feedbench.bench.meters.process import tree_usage
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
    # In a new process: children that other tests left behind would be counted too.
    process = subprocess.run(
        [sys.executable, "-c", MEASURED], capture_output=True, text=True, check=True
    )
    assert float(process.stdout) >= 0.45


ENDED = """
import subprocess, sys
from feedbench.bench.meters.process import tree_usage
busy = "import time\\nwhile time.process_time() < 0.5: pass"
before = tree_usage()
subprocess.run([sys.executable, "-c", busy], check=True)
print(tree_usage().since(before).cpu_s)
"""


def test_processor_time_of_children_that_have_ended_is_counted():
    """Libraries may start new workers in each epoch, which then end within a block."""
    process = subprocess.run(
        [sys.executable, "-c", ENDED], capture_output=True, text=True, check=True
    )
    assert float(process.stdout) >= 0.45


def test_peak_memory_includes_memory_that_was_freed():
    code = (
        "from feedbench.bench.meters.process import tree_peak_memory as peak\n"
        "before = peak(); held = b'1' * 300_000_000; del held; print(peak() - before)"
    )
    grown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert 250_000_000 < int(grown.stdout) < 400_000_000


REFUSED = pynvml.NVML_ERROR_NOT_SUPPORTED


def sampled(times: int = 2) -> list:
    """Return the readings of each GPU of the driver, over a block of two samples."""
    began = time.perf_counter()
    with gpu.GpuMeter(gpu.find_gpus(), period_s=100) as meter:
        meter._period_s = 0  # otherwise samples taken at once would be left out
        for _ in range(times):
            meter.sample()
        seconds = time.perf_counter() - began
        return meter.readings(Block(began=began, seconds=seconds, images=1, wait_s=[], step_s=[]))


def test_readings_have_the_units_of_the_record(driver):
    first, second = sampled()
    assert (first.index, second.index) == (0, 1)
    assert first.utilization == [0.37, 0.83]
    assert first.memory_bytes == [5_000_000] * 2
    assert first.power_w == [287.7] * 2
    assert (first.sm_clock_mhz, first.memory_clock_mhz) == ([1_410] * 2, [1_593] * 2)
    assert len(first.at_s) == 2
    assert 0 <= first.at_s[0] <= first.at_s[1]


def test_only_the_refused_reading_is_missing(driver):
    driver.refused = {"nvmlDeviceGetPowerUsage"}
    first, second = sampled()
    assert first.power_w == second.power_w == second.utilization == []
    assert second.memory_bytes == [5_000_000] * 2
    assert first.utilization == [0.37, 0.83]


def test_a_reading_that_fails_once_is_none_at_its_time(driver, monkeypatch):
    answers = iter([0, REFUSED, 0])
    memory_info = driver.nvmlDeviceGetMemoryInfo
    monkeypatch.setattr(
        driver,
        "nvmlDeviceGetMemoryInfo",
        lambda *arguments: memory_info(*arguments) or next(answers),
    )
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert sampled(3)[0].memory_bytes == [5_000_000, None, 5_000_000]


def test_gpm_reports_multiprocessors_and_traffic_and_is_freed(driver):
    first, _ = sampled()
    assert first.multiprocessors == [0.3125] * 2
    assert first.pcie_rx_bytes_per_s == [64 * 2**20] * 2
    assert first.pcie_tx_bytes_per_s == [2 * 2**20] * 2
    assert driver.sampled
    assert driver.allocated == set()


def test_gpm_compares_each_sample_with_the_one_before(driver):
    sampled(3)
    firsts, lasts = zip(*driver.between, strict=True)
    assert len(firsts) == 3
    assert firsts[1:] == lasts[:-1]
    assert all(first < last for first, last in driver.between)


def test_traffic_comes_from_nvml_without_gpm(driver):
    _, second = sampled()
    assert second.multiprocessors == []
    assert second.pcie_rx_bytes_per_s == [250_000_000] * 2
    assert second.pcie_tx_bytes_per_s == [1_500_000] * 2


def test_a_missing_gpm_or_metric_leaves_the_other_readings(driver):
    driver.metric_refused = True
    first, _ = sampled()
    assert first.multiprocessors == []
    assert first.pcie_rx_bytes_per_s == [64 * 2**20] * 2
    driver.missing = {"nvmlGpmQueryDeviceSupport"}
    assert sampled()[0].pcie_rx_bytes_per_s == [250_000_000] * 2


def test_a_gpm_that_fails_to_start_frees_its_samples(driver):
    driver.refused = {"nvmlGpmSampleGet"}
    first, _ = sampled()
    assert first.multiprocessors == []
    assert next(driver.numbers) > 1
    assert driver.allocated == set()


def test_throttling_reasons_are_named_and_idle_is_not_one(driver):
    first, _ = sampled()
    assert gpu.throttling(first.clock_reasons[0]) == ["power cap", "heat (hardware)"]
    driver.missing = {"nvmlDeviceGetCurrentClocksEventReasons"}  # as in older drivers
    first, _ = sampled()
    assert gpu.throttling(first.clock_reasons[0]) == []


def test_the_gpu_meter_samples_only_inside_its_with_block(driver):
    with gpu.GpuMeter(gpu.find_gpus(), period_s=0.01) as meter:
        while not meter._samples[0]:
            time.sleep(0.01)
    taken = len(meter._samples[0])
    time.sleep(0.1)
    assert 1 <= taken == len(meter._samples[0])
    assert meter.latest("memory_bytes") == [5_000_000] * 2
    assert len(meter.latest("utilization")) == 1


@pytest.mark.parametrize(
    ("visible", "indexes"),
    [
        ("1", [1]),
        ("1,0", [1, 0]),
        ("GPU-0", [0]),
        ("GPU-1f00, 0", [1, 0]),
        ("MIG-7", [1]),
        ("0,-1,1", [0]),
        ("GPU-", []),
        ("MIG-8", []),
        ("", []),
    ],
)
def test_gpus_are_visible_in_the_order_that_cuda_uses(driver, monkeypatch, visible, indexes):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
    assert [index for index, _ in gpu.find_gpus()] == indexes


def test_a_gpu_that_may_not_be_opened_is_left_out(driver):
    driver.forbidden = {0}
    assert [index for index, _ in gpu.find_gpus()] == [1]


def test_children_see_one_gpu_and_it_is_the_one_that_is_metered(driver, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1,0")
    ((index, _),) = gpu.training_gpus()
    environment = gpu.gpu_environment()
    assert environment == {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": "GPU-1f00"}
    assert child_environment().items() >= environment.items()
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", environment["CUDA_VISIBLE_DEVICES"])
    assert [index for index, _ in gpu.find_gpus()] == [index]


def test_free_memory_is_that_of_the_fullest_gpu_or_unknown(driver):
    assert gpu.free_gpu_memory(gpu.find_gpus()) == 1_000_000
    assert gpu.free_gpu_memory([]) is None
    driver.refused = {"nvmlDeviceGetMemoryInfo"}
    assert gpu.free_gpu_memory(gpu.find_gpus()) is None


def test_a_metric_that_is_no_number_is_missing_and_does_not_end_the_meter(driver):
    driver.utilization = float("nan")
    first, _ = sampled()
    assert first.multiprocessors == []
    assert first.pcie_rx_bytes_per_s == [64 * 2**20] * 2


def test_without_gpus_there_are_no_readings():
    meter = gpu.GpuMeter([])
    with meter:
        pass
    assert meter.readings(Block(began=0, seconds=1, images=1, wait_s=[], step_s=[])) == []


def test_samples_from_before_and_after_a_block_are_left_out():
    taken = [Sample(at, {"power_w": at}) for at in (9.9, 10.1, 10.6, 11.6, 12.6)]
    columns = samples_during(taken, began=10, seconds=2, period_s=1.0)
    assert columns.at_s == [0.6, 1.6]
    assert columns.readings == {"power_w": [10.6, 11.6]}
    assert interval_starts(columns.at_s) == [0.0, 0.6]
    assert samples_during(taken, began=20, seconds=2, period_s=1.0) is None


def metered(code: str) -> tuple[Host, Block]:
    """Return readings of the real machine while a process runs this code."""
    began = time.perf_counter()
    with Meters([]) as meters:
        subprocess.run([sys.executable, "-c", code], check=True)
    seconds = time.perf_counter() - began
    timed = TimedBlock(began=began, seconds=seconds, images=1, wait_s=[], step_s=[])
    block = meters.complete(timed, 0)
    assert block.host is not None
    return block.host, block


CORE = min(os.sched_getaffinity(0)) if sys.platform == "linux" else 0
BURNT_S = 1.5  # of CPU time, however long others delay it
BURN = f"import os, time; os.sched_setaffinity(0, [{CORE}])\n"
BURN += f"while time.process_time() < {BURNT_S}: pass"


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_busy_loop_shows_as_utilization_of_its_core():
    host, block = metered(BURN)
    assert set(host.cores) == set(read_counters().cores)
    assert all(len(shares) == len(host.at_s) for shares in host.cores.values())
    assert all(0 < at <= block.seconds for at in host.at_s)
    intervals = np.diff([0.0, *host.at_s])
    busy_s = float(np.dot(host.cores[CORE], intervals))
    # What the last sample, of up to a period, did not see is missing; others add to it.
    assert busy_s >= BURNT_S - PERIOD_S - 0.2


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_touching_new_memory_shows_as_minor_page_faults():
    pages, before = 50_000, read_counters()
    with mmap.mmap(-1, pages * mmap.PAGESIZE) as memory:
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            memory.madvise(mmap.MADV_NOHUGEPAGE)
        for page in range(pages):
            memory[page * mmap.PAGESIZE] = 1
    measured = rates(before, latest := read_counters())
    assert measured["minor_faults_per_s"] * (latest.at - before.at) >= 0.95 * pages


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_reading_an_evicted_file_shows_as_disk_reads(tmp_path):
    path, size = tmp_path / "file", 50_000_000
    path.write_bytes(b"1" * size)
    evict([bytes(path)], sync=True)
    read_before, before = read_bytes(), read_counters()
    path.read_bytes()
    latest, read_after = read_counters(), read_bytes()
    reported = "disk_read_bytes_per_s" in before.totals and read_before is not None
    if not reported or read_after - read_before < size:
        pytest.skip("needs files on a disk whose reads the system reports")
    measured = rates(before, latest)
    assert measured["disk_read_bytes_per_s"] * (latest.at - before.at) >= 0.95 * size
    assert measured["disk_queue"] > 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_cores_that_may_not_be_used_are_not_metered(monkeypatch):
    monkeypatch.setattr(
        "feedbench.bench.meters.host.os.sched_getaffinity", lambda pid: {CORE, 4096}
    )
    assert set(read_counters().cores) == {CORE}


def test_rates_are_differences_divided_by_the_time_between():
    before = Counters(10.0, {0: Ticks(100, 200), 3: Ticks(0, 200)}, {"disk_queue": 1.0})
    latest = Counters(12.0, {0: Ticks(250, 400), 3: Ticks(0, 200)}, {"disk_queue": 7.0})
    assert rates(before, latest) == {0: 0.75, "disk_queue": 3.0}


def test_what_the_system_does_not_report_is_missing_and_not_zero(monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda path: (_ for _ in ()).throw(OSError(path)))
    with HostMeter(period_s=0.01) as meter:
        time.sleep(0.1)
    assert meter.readings(Block(began=0, seconds=1e9, images=1, wait_s=[], step_s=[])) is None
