"""Contradicting meters are explained, and all readings are described in words."""

import pytest

from feedbench.bench.analysis.utilization import (
    describe_gpus,
    describe_host,
    throttled,
    utilization_conflict,
)
from feedbench.bench.record import Block, Gpu, Host

BUSY = Gpu(
    index=0,
    at_s=[1.0, 2.0],
    utilization=[0.96, 0.98],
    multiprocessors=[0.30, 0.32],
    power_w=[250.0, 350.0],
    pcie_rx_bytes_per_s=[None, 100_000_000],
    sm_clock_mhz=[1_400, 1_000],
    clock_reasons=[0x1, 0x4],
    memory_bytes=[10, 30],
)


def test_with_a_stall_the_wait_is_believed():
    note = utilization_conflict(wait_share=0.40, stall=0.38, busy=0.97, multiprocessors=0.31)
    assert "busy 97% of the time, although the consumer waited for batches 40% of it" in note
    assert "believe the wait. 38% of the rate with synthetic batches is lost" in note
    assert "according to GPM, 31% of the multiprocessors were in use" in note


def test_without_a_stall_nvml_is_believed():
    note = utilization_conflict(wait_share=0.90, stall=0.01, busy=1.0, multiprocessors=None)
    assert "believe NVML. Only 1% of the rate with synthetic batches is lost" in note
    assert "GPM" not in note


def test_without_a_synthetic_rate_the_note_asks_for_it():
    note = utilization_conflict(wait_share=0.40, stall=None, busy=0.97, multiprocessors=None)
    assert "The rate with synthetic batches would show which to believe" in note


@pytest.mark.parametrize(
    ("wait_share", "busy"), [(0.40, 0.89), (0.09, 0.97), (0.40, None), (0.0, 0.1)]
)
def test_there_is_no_note_if_the_meters_agree_or_no_gpu_is_present(wait_share, busy):
    assert utilization_conflict(wait_share, 0.4, busy, 0.3) is None


def test_each_gpu_and_the_machine_are_described_in_one_sentence():
    host = Host(
        at_s=[0.2, 0.4],
        cores={0: [1.0, 1.0], 1: [0.0, 0.5]},
        disk_read_bytes_per_s=[20_000_000, 40_000_000],
        disk_queue=[0.25, 0.25],
        minor_faults_per_s=[1_000, 2_000],
        major_faults_per_s=[0, 3],
    )
    fields = {"seconds": 3.0, "images": 1, "wait_s": [], "step_s": []}
    blocks = [Block(gpus=[BUSY], host=host, **fields)]
    assert describe_gpus(blocks, "end to end") == [
        "GPU 0, end to end: a kernel running 97% of the time (NVML), 31% of the multiprocessors in "
        "use (GPM), 300 W, 100 MB/s from the host, clock 1,200 MHz, clocks reduced (fraction of "
        "samples): power cap 50%."
    ]
    assert throttled(blocks) == {"power cap": 0.5}
    assert describe_host(blocks, "end to end") == (
        "The whole machine, other processes included, end to end: 1.2 of 2 cores in use, "
        "30 MB/s read from disks, 0.2 disk requests in flight, 1,500 minor page faults per second, "
        "1.5 major page faults per second."
    )
    assert describe_gpus([Block(**fields)], "end to end") == []
    assert describe_host([Block(**fields)], "end to end") is None
