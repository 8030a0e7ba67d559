"""What a FitMonitor costs a training, in interleaved fits of one model.

The ratio of their rates and its interval are in `extra_info` of the saved JSON; the target is 0.99.
"""

from itertools import count
from pathlib import Path
from time import perf_counter

import keras
import numpy as np
import pytest
import tensorflow as tf

from feedbench import FitMonitor
from feedbench.bench.analysis.stats import median_interval

SIDE, BATCH, CLASSES = 96, 64, 10
LEAD = 5  # batches of each fit that are not timed


class Clock(keras.callbacks.Callback):
    """The rate of the batches after the first `LEAD`."""

    async_safe = True

    def on_train_begin(self, logs=None):
        self.ends = []

    def on_train_batch_end(self, batch, logs=None):
        self.ends.append(perf_counter())

    @property
    def rate(self) -> float:
        return (len(self.ends) - 1 - LEAD) / (self.ends[-1] - self.ends[LEAD])


@pytest.fixture(scope="module")
def model(request) -> keras.Model:
    """A real network, unless nothing is timed."""
    if request.config.getoption("benchmark_enable"):
        network = keras.applications.MobileNetV2(
            (SIDE, SIDE, 3), alpha=0.35, weights=None, classes=CLASSES
        )
    else:
        images = keras.Input((SIDE, SIDE, 3))
        pooled = keras.layers.GlobalAveragePooling2D()(images)
        network = keras.Model(images, keras.layers.Dense(CLASSES, "softmax")(pooled))
    network.compile("sgd", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return network


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


def test_a_training_with_a_monitor_against_one_without(benchmark, model, batches, tmp_path: Path):
    steps, pairs = (3, 1) if benchmark.disabled else (40, 6)
    numbers = count()

    def rate(*monitors: FitMonitor) -> float:
        clock = Clock()
        model.fit(
            batches,
            steps_per_epoch=LEAD + 1 + steps,
            shuffle=False,
            verbose=0,
            callbacks=[clock, *monitors],
        )
        return clock.rate

    def monitored() -> float:
        out = tmp_path / str(next(numbers))
        return rate(FitMonitor(steps=steps + 1, warm_up=LEAD, out=out, verbose=0))

    ratios = []

    def all_pairs() -> None:
        rate()  # the first one traces
        for number in range(pairs):
            first, second = (monitored, rate) if number % 2 else (rate, monitored)
            rates = {first: first(), second: second()}
            ratios.append(rates[monitored] / rates[rate])

    benchmark.pedantic(all_pairs, rounds=1, iterations=1)
    benchmark.extra_info["ratio"] = median_interval(ratios).model_dump()
