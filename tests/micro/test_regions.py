"""Random-resized crops: ways to decode a region of a JPEG, and `turbo` beside `tf_data`."""

from itertools import cycle
from time import perf_counter

import numpy as np
import pytest
import tensorflow as tf

from feedbench.bench.analysis.stats import median_interval
from feedbench.loaders import Augment, BatchSpec, open_loader, read_file
from feedbench.loaders.augment.regions import region_in
from feedbench.loaders.images import jpeg_region
from feedbench.loaders.images.jpeg_region import compiled_module
from feedbench.loaders.images.libjpeg_turbo import Scratch, decoded_jpeg

CUT = Augment(random_resized_crop=(0.08, 1))
SPEC = BatchSpec(batch_size=32, augment=CUT)
JPEGS = 100
STEPS, PAIRS = 20, 15


@pytest.fixture(scope="module")
def work(manifest):
    """The bytes of some JPEGs, each with a crop."""
    files = (read_file(path) for path in manifest.paths(np.arange(len(manifest))))
    jpegs = [data for data in files if data.startswith(b"\xff\xd8\xff")][:JPEGS]
    return list(zip(jpegs, CUT.draw_crops(0, 0, np.arange(len(jpegs))), strict=True))


def by_tensorflow(data, crop):
    shape = tf.io.extract_jpeg_shape(data)
    region = region_in(int(shape[0]), int(shape[1]), crop)
    return tf.image.decode_and_crop_jpeg(data, region, channels=3, dct_method="INTEGER_ACCURATE")


WAYS = {
    "image": lambda data, crop: decoded_jpeg(data, SPEC, Scratch(), scaled=False),
    "region of the image": lambda data, crop: decoded_jpeg(
        data, SPEC, Scratch(), scaled=False, crop=crop
    ),
    "region alone": lambda data, crop: decoded_jpeg(data, SPEC, Scratch(), scaled=False, crop=crop),
    "decode_and_crop_jpeg": by_tensorflow,
}


@pytest.mark.parametrize("way", WAYS)
def test_decode_a_region(benchmark, monkeypatch, work, way):
    """JPEGs of all sizes in turn, on one thread: compare the means."""
    if way == "region alone" and compiled_module() is None:
        pytest.skip("not compiled")
    if way == "region of the image":
        monkeypatch.setattr(jpeg_region, "compiled_module", lambda: None)
    items = cycle(work)
    decode = WAYS[way]
    benchmark.pedantic(
        lambda: [decode(*next(items)) for _ in work],
        rounds=1 if benchmark.disabled else 9,
        iterations=1,
    )


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
@pytest.mark.parametrize(
    ("settings", "other"),
    [({}, {"decode": "jpeg"}), ({"decode": "scaled"}, {"decode": "scaled"})],
    ids=["full", "scaled"],
)
def test_turbo_beside_tf_data(benchmark, manifest, interpolation, settings, other):
    """`ratio` of the rates, in turns; the target is at least 1.5."""
    steps, pairs = (1, 1) if benchmark.disabled else (STEPS, PAIRS)
    spec = SPEC.model_copy(update={"interpolation": interpolation})
    ratios = []
    with (
        open_loader("turbo", manifest, spec, {**settings, "prefetch": 0}) as ours,
        open_loader("tf_data", manifest, spec, {**other, "prefetch": 0}) as theirs,
    ):

        def rate(stream):
            next(stream)
            begin = perf_counter()
            for _ in range(steps):
                next(stream)
            return steps / (perf_counter() - begin)

        def all_pairs():
            for _ in range(pairs):
                ratios.append(rate(ours) / rate(theirs))

        benchmark.pedantic(all_pairs, rounds=1, iterations=1)
    benchmark.extra_info["ratio"] = median_interval(ratios).model_dump()
    assert len(ratios) == pairs
