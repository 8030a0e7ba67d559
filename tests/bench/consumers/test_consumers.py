"""Consumers: the drain, the emulated accelerator, the copy to a device, and the trainer."""

import sys
from time import perf_counter
from types import SimpleNamespace

import numpy as np
import pytest

from feedbench.bench.consumers.base import Drain
from feedbench.bench.consumers.device import (
    CPU,
    devices_option,
    names_of,
    several_text,
    training_device,
)
from feedbench.bench.consumers.emulated import EmulatedAccelerator, sleep_until
from feedbench.bench.consumers.trainer import (
    class_weights,
    make_trainer,
    timed_phase,
    timed_phase_text,
)
from feedbench.bench.consumers.transfer import Transfer
from feedbench.bench.errors import PlanError
from feedbench.bench.trials import worker
from feedbench.bench.trials.protocol import TrialJob
from feedbench.loaders import Batch, BatchSpec, find_loader, parse_settings, scan
from feedbench.trainer import Recipe, Replicas


def batch(size: int) -> Batch:
    images = np.zeros((size, 8, 8, 3), np.uint8)
    return Batch(images, np.zeros(size, np.int32), np.arange(size))


@pytest.mark.parametrize(
    ("epochs", "frozen", "phase", "text"),
    [
        (40, 0, 0, ""),
        (10, 2, 1, "training all layers, as in 8 of 10 epochs"),
        (10, 5, 1, "training all layers, as in 5 of 10 epochs"),
        (10, 8, 0, "training only the head, as in 8 of 10 epochs"),
        (10, 10, 0, ""),
    ],
)
def test_the_phase_with_most_epochs_is_timed(epochs, frozen, phase, text):
    recipe = Recipe(weights="imagenet", epochs=epochs, frozen_epochs=frozen)
    assert timed_phase(recipe) == phase
    assert timed_phase_text(recipe) == text


def test_a_trial_trains_in_the_timed_phase(monkeypatch):
    entered = []

    class Entered:
        def enter(self, phase):
            entered.append(phase)

    monkeypatch.setattr(worker, "make_trainer", lambda *arguments, **options: Entered())
    recipe = Recipe(weights="imagenet", epochs=10, frozen_epochs=2)
    fields = {"manifest": "", "loader": "synthetic", "consumer": "train", "warm_up_s": 1}
    job = TrialJob(spec=BatchSpec(), recipe=recipe, **fields)
    synthetic = parse_settings(find_loader("synthetic"), {})
    worker._open_consumer(job, None, synthetic, None, Replicas())
    assert entered == [1]


def test_a_trainer_on_this_machine_names_its_device():
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    assert (training_device() == CPU) == (not gpus)


def _torch(name):
    cuda = SimpleNamespace(is_available=lambda: bool(name), get_device_name=lambda: name)
    return SimpleNamespace(cuda=cuda)


def _jax(platform, kind):
    return SimpleNamespace(devices=lambda: [SimpleNamespace(platform=platform, device_kind=kind)])


@pytest.mark.parametrize(
    ("backend", "framework", "name"),
    [
        ("jax", _jax("gpu", "NVIDIA H100"), "NVIDIA H100"),
        ("jax", _jax("cpu", "cpu"), CPU),
        ("torch", _torch("NVIDIA H100"), "NVIDIA H100"),
        ("torch", _torch(""), CPU),
    ],
)
def test_other_frameworks_are_asked_for_the_device_that_they_use(
    monkeypatch, backend, framework, name
):
    monkeypatch.setitem(sys.modules, backend, framework)
    assert training_device(backend) == name


@pytest.mark.parametrize(
    ("devices", "text", "option"),
    [
        (["GPU:0"], "", []),
        ([], "", []),
        (["GPU:0", "GPU:1"], "2 GPUs", ["--devices", "2"]),
        (["CPU:0", "CPU:1"], "2 logical devices of the CPU", ["--devices", "cpu:2"]),
    ],
)
def test_several_devices_are_named_and_asked_for_again(devices, text, option):
    assert several_text(devices) == text
    assert devices_option(devices) == option
    assert not option or names_of(option[1]) == devices


def test_the_drain_keeps_no_batch():
    drain, taken = Drain(), batch(2)
    drain.step(taken)
    drain.finish()
    assert vars(drain) == {}


def test_an_emulated_step_takes_the_time_of_its_images():
    accelerator, begin = EmulatedAccelerator(seconds_per_image=0.01), perf_counter()
    for size in (2, 3):
        accelerator.step(batch(size))
    accelerator.finish()
    assert perf_counter() - begin >= 0.05


def test_the_host_does_not_wait_within_the_run_ahead():
    accelerator = EmulatedAccelerator(seconds_per_image=1_000, run_ahead=2)
    for _ in range(2):
        accelerator.step(batch(1))  # would wait beyond the test's time limit


def test_the_host_waits_for_the_first_step_beyond_the_run_ahead():
    accelerator, begin = EmulatedAccelerator(seconds_per_image=0.05, run_ahead=1), perf_counter()
    accelerator.step(batch(1))
    accelerator.step(batch(1))
    assert perf_counter() - begin >= 0.05


def test_finish_returns_at_once_without_steps():
    EmulatedAccelerator(seconds_per_image=1_000).finish()


def test_sleep_until_never_returns_early():
    moment = perf_counter() + 0.01
    sleep_until(moment)
    assert perf_counter() >= moment


def test_batches_are_copied_to_a_device_that_exists():
    consumer = Transfer(["CPU:0"])
    consumer.step(batch(2))
    consumer.finish()


def test_each_of_several_devices_is_sent_its_part():
    consumer, images = Transfer(["CPU:0", "CPU:0", "CPU:0"]), np.arange(8)
    assert [np.asarray(part).tolist() for part in consumer._divided(images)] == [
        [0, 1],
        [2, 3, 4],
        [5, 6, 7],
    ]
    consumer.step(batch(6))
    consumer.finish()


def test_a_missing_device_is_refused():
    with pytest.raises(PlanError, match="TensorFlow does not find GPU:99"):
        Transfer(["GPU:99"])


def test_class_weights_average_to_one_over_an_epoch():
    recipe = Recipe(class_weights="balanced")
    counts = np.array([30, 10, 20])
    weights = np.array(class_weights(recipe, counts))
    assert (weights * counts).sum() == pytest.approx(counts.sum())
    assert weights[1] == pytest.approx(3 * weights[0])
    with_an_empty_class = class_weights(recipe, np.array([30, 0, 10, 20]))
    assert np.delete(with_an_empty_class, 1) == pytest.approx(weights)


def test_without_class_weights_there_are_none():
    assert class_weights(Recipe(class_weights="none"), np.array([1, 9])) is None


def test_a_network_that_refuses_the_image_size_is_a_plan_error(tiny_photos):
    manifest = scan(tiny_photos).only("train")
    spec = BatchSpec(batch_size=4, image_size=32)
    with pytest.raises(PlanError, match="recipe: "):
        make_trainer(Recipe(network="InceptionV3"), spec, manifest, "uint8")
