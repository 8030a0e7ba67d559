"""What a FitMonitor costs a training, in interleaved fits of one model.

In `extra_info` of the saved JSON are the ratio of their rates (target: 0.99) and that of the CPU
time of a batch (target: 1.01), which other programs change less. Beside them are the seconds that a
monitor takes once per fit, for start and record. What it adds to a batch is measured in steps so
short that it is a large part of them.
"""

from itertools import count
from pathlib import Path
from time import perf_counter, process_time
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

from feedbench import FitMonitor
from feedbench.bench.analysis.stats import median_interval

SIDE, BATCH, CLASSES = 96, 64, 10
LEAD = 5  # batches of each fit that are not timed


class Cost(NamedTuple):
    """Seconds of a batch, of its CPU time, and of all that a fit does beside its batches."""

    seconds: float
    cpu_s: float
    once_s: float


class Clock(keras.callbacks.Callback):
    """The time of the batches after the first `LEAD`."""

    async_safe = True

    def on_train_begin(self, logs=None):
        self.ends = []
        self.cpu = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(perf_counter())
        self.cpu.append(process_time())

    def cost(self, fit_s: float) -> Cost:
        timed = len(self.ends) - 1 - LEAD
        seconds = (self.ends[-1] - self.ends[LEAD]) / timed
        cpu_s = (self.cpu[-1] - self.cpu[LEAD]) / timed
        return Cost(seconds, cpu_s, fit_s - (self.ends[-1] - self.ends[0]))


def compiled(network: keras.Model) -> keras.Model:
    network.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return network


@pytest.fixture(scope="module")
def small() -> keras.Model:
    """A network whose steps take about a millisecond."""
    images = keras.Input((SIDE, SIDE, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(images)
    return compiled(keras.Model(images, keras.layers.Dense(CLASSES, "softmax")(pooled)))


@pytest.fixture(scope="module")
def model(request) -> keras.Model:
    """A real network, unless nothing is timed."""
    if not request.config.getoption("benchmark_enable"):
        return request.getfixturevalue("small")
    shape = (SIDE, SIDE, 3)
    network = keras.applications.MobileNetV2(shape, alpha=0.35, weights=None, classes=CLASSES)
    return compiled(network)


@pytest.fixture(scope="module")
def batches() -> tf.data.Dataset:
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (4 * BATCH, SIDE, SIDE, 3)).astype(np.uint8)
    labels = random.integers(0, CLASSES, len(images))
    rows = tf.data.Dataset.from_tensor_slices((images, labels)).repeat()
    return (
        rows.map(lambda image, label: (tf.cast(image, tf.float32) / 255, label))
        .batch(BATCH)
        .prefetch(2)
    )


def fit_cost(
    network: keras.Model, batches: tf.data.Dataset, steps: int, *monitors: FitMonitor
) -> Cost:
    clock, began = Clock(), perf_counter()
    network.fit(
        batches,
        steps_per_epoch=LEAD + 1 + steps,
        shuffle=False,
        verbose=0,
        callbacks=[clock, *monitors],
    )
    return clock.cost(perf_counter() - began)


def pairs_of(
    network: keras.Model, batches: tf.data.Dataset, steps: int, pairs: int, folder: Path
) -> list[tuple[Cost, Cost]]:
    """The costs of fits without and with a monitor, each first in turn."""
    numbers = count()

    def plain() -> Cost:
        return fit_cost(network, batches, steps)

    def monitored() -> Cost:
        out = folder / str(next(numbers))
        monitor = FitMonitor(steps=steps + 1, warm_up=LEAD, out=out, verbose=0)
        return fit_cost(network, batches, steps, monitor)

    plain()  # the first one traces
    found = []
    for number in range(pairs):
        first, second = (monitored, plain) if number % 2 else (plain, monitored)
        costs = {first: first(), second: second()}
        found.append((costs[plain], costs[monitored]))
    return found


def test_a_training_with_a_monitor_against_one_without(benchmark, model, batches, tmp_path: Path):
    steps, pairs = (3, 1) if benchmark.disabled else (40, 16)
    found = benchmark.pedantic(pairs_of, (model, batches, steps, pairs, tmp_path))
    derived = {
        "ratio": [without.seconds / with_one.seconds for without, with_one in found],
        "cpu_ratio": [with_one.cpu_s / without.cpu_s for without, with_one in found],
        "once_s": [with_one.once_s - without.once_s for without, with_one in found],
    }
    for name, values in derived.items():
        benchmark.extra_info[name] = median_interval(values).model_dump()


def test_what_a_monitor_adds_to_a_batch(benchmark, small, batches, tmp_path: Path):
    steps, pairs = (3, 1) if benchmark.disabled else (400, 20)
    found = benchmark.pedantic(pairs_of, (small, batches, steps, pairs, tmp_path))
    derived = {
        "batch_us": [without.seconds * 1e6 for without, _ in found],
        "added_us": [(with_one.seconds - without.seconds) * 1e6 for without, with_one in found],
        "added_cpu_us": [(with_one.cpu_s - without.cpu_s) * 1e6 for without, with_one in found],
    }
    for name, values in derived.items():
        benchmark.extra_info[name] = median_interval(values).model_dump()
