"""Whole batches: assembly on the host, and each loader drained."""

import numpy as np
import pytest
import tensorflow as tf

from loaders import BatchSpec, open_loader
from loaders.host import flipped, ranged
from loaders.row_cache import RowCache
from loaders.tf_image import mirrored

BATCH = 64
STEPS = 4


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (BATCH, 224, 224, 3), np.uint8)


def test_stack_float32(benchmark, images):
    singles = list(images.astype(np.float32))
    assert benchmark(lambda: np.stack(singles)).shape == images.shape


def test_range_and_flip_on_the_host(benchmark, images):
    flips = np.arange(BATCH) % 2 == 0
    benchmark(lambda: flipped(ranged(images.astype(np.float32), BatchSpec()), flips))


def test_flip_in_the_graph(benchmark, images):
    graph, flips = tf.function(mirrored), tf.constant(np.arange(BATCH) % 2 == 0)
    tensor = tf.constant(images)
    benchmark(lambda: graph(tensor, flips))


def test_take_from_the_row_cache(benchmark, images):
    cache = RowCache.in_memory(4 * BATCH, 224)
    cache.put(np.arange(4 * BATCH), np.tile(images, (4, 1, 1, 1)))
    rows = np.random.default_rng(0).permutation(4 * BATCH)[:BATCH]
    assert benchmark(lambda: cache.take(rows)).shape == images.shape


@pytest.mark.parametrize(
    ("loader", "settings"),
    [
        ("keras_pil", {}),
        ("keras_pil", {"workers": 2}),
        ("keras_directory", {}),
        ("tf_data", {}),
        ("tf_data", {"decode": "scaled"}),
        ("tf_data", {"cache": "encoded"}),
        ("tf_data", {"cache": "decoded"}),
        ("synthetic", {}),
    ],
    ids=str,
)
def test_drain(benchmark, manifest, loader, settings):
    """Images a round: BATCH times STEPS. The stream stays open: its end is not timed."""
    with open_loader(loader, manifest, BatchSpec(batch_size=BATCH), settings) as stream:
        for _ in range(-(-2 * len(manifest) // BATCH)):
            next(stream)
        benchmark.extra_info["images_per_round"] = BATCH * STEPS
        benchmark.pedantic(lambda: [next(stream) for _ in range(STEPS)], rounds=5, iterations=1)
