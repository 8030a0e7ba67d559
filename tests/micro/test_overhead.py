"""The cost of the harness, and each loader compared with a bare loop, in paired windows.

Each benchmark times windows of both sides alternately and stores the ratio with its interval in
`extra_info` of the saved JSON. The time that pytest-benchmark prints covers all windows.
"""

from collections.abc import Callable, Iterator
from contextlib import closing
from time import perf_counter

import keras
import numpy as np
import pytest
import tensorflow as tf

from feedbench.bench.analysis.stats import median_interval
from feedbench.bench.consumers.base import Drain
from feedbench.bench.consumers.trainer import make_trainer
from feedbench.bench.meters.block import Meters
from feedbench.bench.meters.gpu import training_gpus
from feedbench.bench.trials.block import timed_block
from feedbench.bench.trials.child import Child
from feedbench.bench.trials.protocol import (
    TRIAL_WORKER,
    BlockDone,
    BlockRequest,
    TrialJob,
    WarmUpDone,
)
from feedbench.loaders import Batch, BatchSpec, Manifest, open_loader
from feedbench.trainer import Recipe
from feedbench.trainer.step import Trainer

SPEC = BatchSpec(batch_size=64, image_size=224)
LEAD_S, WINDOW_S, PAIRS = 1.5, 2.5, 5


@pytest.fixture
def windows(benchmark) -> tuple[float, float, int]:
    """Lead-in, window and number of pairs; short unless benchmarks are enabled."""
    return (0.0, 0.05, 1) if benchmark.disabled else (LEAD_S, WINDOW_S, PAIRS)


def keep_ratio(benchmark, one: Callable[[], float], other: Callable[[], float], pairs: int) -> None:
    """Time `one` and `other` alternately, swapping which is first; store the ratio of the rates."""
    ratios = []

    def all_pairs() -> None:
        for number in range(pairs):
            first, second = (one, other) if number % 2 else (other, one)
            rates = {first: first(), second: second()}
            ratios.append(rates[one] / rates[other])

    benchmark.pedantic(all_pairs, rounds=1, iterations=1)
    benchmark.extra_info["ratio"] = median_interval(ratios).model_dump()


@pytest.fixture(scope="module")
def trained(request) -> BatchSpec:
    """The batches of a training, small unless benchmarks are enabled."""
    size, side = (64, 96) if request.config.getoption("benchmark_enable") else (16, 32)
    return BatchSpec(batch_size=size, image_size=side, augment={"horizontal_flip": True})


@pytest.fixture(scope="module")
def recipe(request) -> Recipe:
    """The network that is built and traced fastest, unless benchmarks are enabled."""
    if request.config.getoption("benchmark_enable"):
        return Recipe(alpha=0.35)
    return Recipe(network="MobileNet", alpha=0.25)


@pytest.fixture(scope="module")
def trainer(manifest, recipe, trained) -> Trainer:
    made = make_trainer(recipe, trained, manifest, "uint8")
    with open_loader("synthetic", manifest, trained) as stream:
        made.step(next(stream))  # the first one traces
    made.finish()
    return made


def trained_rate(stream: Iterator[Batch], trainer: Trainer, window_s: float) -> float:
    """Images per second of a bare loop, from device idle to device idle."""
    images, begin = 0, perf_counter()
    while perf_counter() - begin < window_s:
        batch = next(stream)
        trainer.step(batch)
        images += len(batch.labels)
    trainer.finish()
    return images / (perf_counter() - begin)


def filled(stream: Iterator[Batch], manifest: Manifest, size: int) -> Iterator[Batch]:
    for _ in range(-(-len(manifest) // size) + 2):
        next(stream)
    return stream


def test_the_harness_against_a_bare_loop(benchmark, manifest, trainer, trained, windows):
    """The same stream and the same training step, with and without the harness."""
    _, window_s, pairs = windows
    with open_loader("tf_data", manifest, trained, {"cache": "decoded"}) as stream:
        filled(stream, manifest, trained.batch_size)
        keep_ratio(
            benchmark,
            lambda: timed_block(stream, trainer, window_s).images_per_second,
            lambda: trained_rate(stream, trainer, window_s),
            pairs,
        )


def test_the_meters_against_none(benchmark, manifest, recipe, trained, windows, tmp_path):
    """The rate of a training with all meters on, relative to none; the target is 0.99.

    As in a bench, the training runs in its own process and the meters in the one that waits.
    """
    lead_s, window_s, pairs = windows
    gpus = training_gpus()
    manifest.write(tmp_path / "manifest.parquet")
    job = TrialJob(
        manifest=tmp_path / "manifest.parquet",
        loader="tf_data",
        settings={"cache": "decoded"},
        spec=trained,
        recipe=recipe,
        consumer="train",
        warm_up_s=lead_s,
    )
    with closing(Child(TRIAL_WORKER, job, tmp_path / "log")) as worker:
        worker.wait_for(WarmUpDone, 120, "warm-up")

        def plain() -> float:
            request = BlockRequest(seconds=window_s)
            return worker.ask(request, BlockDone, 60, "a block").block.images_per_second

        def metered() -> float:
            with Meters(gpus):
                return plain()

        keep_ratio(benchmark, metered, plain, 6 * pairs)


def test_training_from_a_cache_against_training_on_synthetic(
    benchmark, manifest, trainer, trained, windows
):
    """The same step with decoded images from memory and with synthetic ones; the target is 0.98."""
    _, window_s, pairs = windows
    with (
        open_loader("tf_data", manifest, trained, {"cache": "decoded"}) as cached,
        open_loader("synthetic", manifest, trained) as synthetic,
    ):
        filled(cached, manifest, trained.batch_size)
        keep_ratio(
            benchmark,
            lambda: trained_rate(cached, trainer, window_s),
            lambda: trained_rate(synthetic, trainer, window_s),
            3 * pairs,
        )


def bare_keras_pil(manifest: Manifest) -> Iterator[int]:
    paths = [manifest.path(row) for row in range(len(manifest))]
    random = np.random.default_rng(0)
    while True:
        chosen = random.choice(paths, SPEC.batch_size, replace=False)
        images = np.stack(
            [
                keras.utils.img_to_array(keras.utils.load_img(path, target_size=(224, 224)))
                for path in chosen
            ]
        )
        images /= 255
        yield len(images)


def bare_keras_directory(manifest: Manifest) -> Iterator[int]:
    dataset = keras.utils.image_dataset_from_directory(
        manifest.root / "train",
        image_size=(224, 224),
        batch_size=64,
        interpolation="nearest",
        verbose=False,
    )
    dataset = dataset.map(lambda x, y: (x / 255, y), num_parallel_calls=tf.data.AUTOTUNE)
    for images, _ in dataset.repeat().prefetch(tf.data.AUTOTUNE):
        yield len(images)


def bare_tf_data(manifest: Manifest) -> Iterator[int]:
    for images in live(manifest).repeat().batch(64).prefetch(tf.data.AUTOTUNE):
        yield len(images)


def bare_tf_data_cached(manifest: Manifest) -> Iterator[int]:
    dataset = live(manifest).cache().shuffle(len(manifest)).repeat()
    for images in dataset.batch(64).prefetch(tf.data.AUTOTUNE):
        yield len(images)


def live(manifest: Manifest) -> tf.data.Dataset:
    def load(path):
        image = tf.io.decode_image(tf.io.read_file(path), channels=3, expand_animations=False)
        return tf.image.resize(image, (224, 224), "nearest")

    paths = [manifest.path(row) for row in range(len(manifest))]
    dataset = tf.data.Dataset.from_tensor_slices(paths).shuffle(len(paths))
    return dataset.map(load, num_parallel_calls=tf.data.AUTOTUNE)


def rate(batches: Iterator[int], lead_s: float, window_s: float, least: int) -> float:
    """Images per second between arrivals, after at least `lead_s` seconds and `least` images."""
    begin, images = perf_counter(), 0
    while perf_counter() - begin < lead_s or images < least:
        images += next(batches)
    begin, images = perf_counter(), 0
    while perf_counter() - begin < window_s:
        images += next(batches)
    return images / (perf_counter() - begin)


def sizes(batches: Iterator[Batch]) -> Iterator[int]:
    for batch in batches:
        yield len(batch.labels)


@pytest.mark.parametrize(
    ("loader", "settings", "bare"),
    [
        ("keras_pil", {}, bare_keras_pil),
        ("keras_directory", {}, bare_keras_directory),
        ("tf_data", {}, bare_tf_data),
        ("tf_data", {"cache": "decoded"}, bare_tf_data_cached),
    ],
    ids=["keras_pil", "keras_directory", "tf_data", "tf_data-cached"],
)
def test_a_loader_against_a_bare_loop(benchmark, manifest, windows, loader, settings, bare):
    """The bare loop makes the same library calls without manifest, order, labels and rows."""
    lead_s, window_s, pairs = windows
    least = 2 * len(manifest) if settings else 0

    def ours() -> float:
        with open_loader(loader, manifest, SPEC, settings) as stream:
            return rate(sizes(stream), lead_s, window_s, least)

    def theirs() -> float:
        with closing(bare(manifest)) as batches:
            return rate(batches, lead_s, window_s, least)

    keep_ratio(benchmark, ours, theirs, pairs)


def test_what_the_harness_costs_a_step(benchmark, manifest, windows):
    """Microseconds added to a step, with a loader and a consumer that cost nothing.

    It is the difference of paired loops: in a ratio of rates it would be lost in the noise.
    """
    _, window_s, pairs = windows
    added_us = []

    def per_step_us(images: int, seconds: float) -> float:
        return seconds * 1e6 * SPEC.batch_size / images

    def one_pair() -> None:
        block = timed_block(stream, Drain(), window_s)
        images, begin = 0, perf_counter()
        while perf_counter() - begin < window_s:
            images += len(next(stream).labels)
        bare = per_step_us(images, perf_counter() - begin)
        added_us.append(per_step_us(block.images, block.seconds) - bare)

    with open_loader("synthetic", manifest, SPEC) as stream:
        benchmark.pedantic(one_pair, rounds=pairs, iterations=1)
    benchmark.extra_info["added_us"] = median_interval(added_us).model_dump()
