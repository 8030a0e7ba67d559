"""What each of several devices did, from the readings of each GPU."""

import re

import pytest

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.record import Gpu
from feedbench.bench.report.devices_table import devices_table
from feedbench.bench.report.summary_text import consumer_text, device_warnings, table_parts

TWO = {"device": "A100", "devices": ["GPU:0", "GPU:1"]}


def gpu(index, busy):
    return Gpu(
        index=index,
        at_s=[1.0, 2.0],
        utilization=[busy, busy],
        power_w=[200.0, 300.0],
        memory_bytes=[10**9, 2 * 10**9],
    )


@pytest.fixture
def on_two(trial):
    """The trials of a bench on two GPUs, which NVML calls 0 and 3."""
    gpus = [gpu(0, 0.9), gpu(3, 0.5)]
    both = [trial(name, rates, gpus=gpus, **TWO) for name, rates in RATES.items()]
    alone = {"device": "A100", "devices": ["GPU:0"], "alone": True}
    return [*both, trial("synthetic", [125.0] * 3, gpus=gpus[:1], **alone)]


RATES = {"turbo": [160.0] * 3, "synthetic": [200.0] * 3}


def test_each_device_has_its_part_of_the_rate_and_its_own_readings(on_two):
    loader, synthetic, alone = summarize(on_two).trials
    first, second = loader.devices
    assert (first.name, first.gpu, second.name, second.gpu) == ("GPU:0", 0, "GPU:1", 3)
    assert first.images_per_second == second.images_per_second == 80
    assert (first.gpu_utilization, second.gpu_utilization) == (0.9, 0.5)
    assert (second.gpu_power_w, second.gpu_memory_bytes) == (250.0, 2 * 10**9)
    assert len(synthetic.devices) == 2
    assert alone.devices == []


def test_utilization_and_scaling_are_printed_for_each_device(on_two, printed):
    summary = summarize(on_two)
    text = printed(*table_parts(summary), width=120)
    assert "64%" in text  # 160 of 2 × 125 images/s
    lines = [line for line in text.splitlines() if re.search("GPU:[01]", line)]
    assert len(lines) == 4
    assert "80%" in lines[0]  # AU: 160 of 200 images/s
    assert "90%" in lines[0]
    assert "GPU:1 (GPU 3 of NVML)" in lines[1]
    assert "50%" in lines[1]
    assert "so they have the same AU" in " ".join(text.split())
    assert len(devices_table(summary).rows) == 4


def test_a_single_device_has_no_table(trial, printed):
    one = trial("turbo", [100.0] * 3, device="A100", devices=["GPU:0"], gpus=[gpu(0, 0.9)])
    assert "Devices" not in printed(*table_parts(summarize([one])))


def test_logical_devices_have_a_rate_and_no_readings(trial):
    devices = {"device": "CPU", "devices": ["CPU:0", "CPU:1"]}
    (one,) = summarize([trial("turbo", [100.0] * 3, **devices)]).trials
    assert [device.images_per_second for device in one.devices] == [50, 50]
    assert one.devices[0].gpu_utilization is None


def test_the_headline_names_devices_and_the_images_of_each(on_two):
    trial = on_two[0].model_copy(update={"spec": {**on_two[0].spec, "batch_size": 64}})
    assert consumer_text(trial).endswith("on 2 GPUs, 32 images each")


def test_logical_devices_beside_a_gpu_are_no_mistake(trial):
    machine = {"processor": "x", "cores": 2, "gpus": ["A100"]}
    values = {"device": "CPU", "machine": machine}
    assert device_warnings([trial("turbo", [1.0], devices=["CPU:0"], **values)])
    two = trial("turbo", [1.0], devices=["CPU:0", "CPU:1"], **values)
    alone = trial("synthetic", [1.0], devices=["CPU:0"], alone=True, **values)
    assert not device_warnings([two, alone])
