"""Whole batches: assembly on the host, and each loader without a consumer."""

import numpy as np
import pytest
import tensorflow as tf

from feedbench.loaders import Augment, BatchSpec, open_loader
from feedbench.loaders.augment.host import augmented, flipped, to_range
from feedbench.loaders.images.tensorflow_finish import flip
from feedbench.loaders.row_cache import RowCache

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
    benchmark(lambda: flipped(to_range(images.astype(np.float32), BatchSpec()), flips))


@pytest.mark.parametrize(
    "augment",
    [
        {"rotation": 15},
        {"jpeg_quality": (40, 95)},
        {"zoom": (0.9, 1.1), "crop": 0.7},
        {"brightness": 0.2, "contrast": 0.2},
    ],
    ids=lambda augment: "-".join(augment),
)
def test_augmentation_on_the_host(benchmark, manifest, augment):
    """`ms_an_image` at 224 px on one core; the target for rotation plus JPEG is at most 0.6."""
    with open_loader("tf_data", manifest, BatchSpec(batch_size=BATCH)) as stream:
        photographs = np.asarray(next(stream).images)
    draws = Augment(**augment).draw(0, np.zeros(BATCH, int), np.arange(BATCH))
    changed = benchmark(lambda: augmented(photographs, draws))
    assert (changed != photographs).any(axis=(1, 2, 3)).all()
    if not benchmark.disabled:
        benchmark.extra_info["ms_an_image"] = benchmark.stats["median"] / BATCH * 1e3


def test_flip_in_the_graph(benchmark, images):
    graph, flips = tf.function(flip), tf.constant(np.arange(BATCH) % 2 == 0)
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
    """BATCH times STEPS images per round. The stream stays open, so its end is not timed."""
    with open_loader(loader, manifest, BatchSpec(batch_size=BATCH), settings) as stream:
        for _ in range(-(-2 * len(manifest) // BATCH)):
            next(stream)
        benchmark.extra_info["images_per_round"] = BATCH * STEPS
        benchmark.pedantic(lambda: [next(stream) for _ in range(STEPS)], rounds=5, iterations=1)
