"""In every loader and epoch, rows, pixels and flips belong together."""

from itertools import islice

import numpy as np
import pytest

from feedbench.loaders import LOADERS, Augment, BatchSpec, open_loader
from feedbench.loaders.augment.draws import FLIP

# Small batches: Keras shuffles within a window of 8, which is then smaller than an epoch.
SPEC = BatchSpec(batch_size=4, image_size=24, seed=7, augment={"horizontal_flip": True})
REQUIRED = {"packed": {"pack": "jpeg"}, "ffcv": {"pack_dir": "betons"}}
VARIANTS = [
    *((name, REQUIRED.get(name, {})) for name, loader in LOADERS.items() if loader.is_choice),
    ("keras_pil", {"workers": 2}),
    ("tf_data", {"output": "float32"}),
    ("tf_data", {"cache": "encoded"}),
    ("tf_data", {"cache": "decoded"}),
    ("tf_data", {"cache": "disk", "output": "float32"}),
    ("turbo", {"cache": "decoded", "output": "float32"}),
]
pytestmark = pytest.mark.usefixtures("beside_packs")


@pytest.fixture
def manifest(request, for_loader):
    """The photographs; in shards, if the test is of a loader that reads only these."""
    return for_loader(request.node.callspec.params.get("name", "tf_data"))


def read_images(name, settings, manifest, spec=SPEC, **options):
    """Rows and images of a stream, each image float32."""
    with open_loader(name, manifest, spec, settings, **options) as stream:
        batches = [(rows, np.asarray(images, np.float32)) for images, _, rows in stream]
    return (np.concatenate(parts) for parts in zip(*batches, strict=True))


@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=str)
def test_each_row_has_its_own_image_flipped_as_drawn(manifest, name, settings):
    count = len(manifest)
    shown, plain = read_images(name, settings, manifest, SPEC.for_evaluation(), epochs=1)
    plain = plain[np.argsort(shown)]
    rows, images = read_images(name, settings, manifest, epochs=3)
    flips = SPEC.augment.draw(7, np.arange(3 * count) // count, rows)[:, FLIP] > 0
    assert 0.3 < flips.mean() < 0.7
    expected = plain[rows]
    expected[flips] = expected[flips, :, ::-1]
    assert np.abs(images - expected).max() < 1e-4


@pytest.mark.parametrize("cache", ["encoded", "decoded", "disk"])
def test_a_cache_filled_from_the_middle_of_an_epoch_changes_no_batch(manifest, cache):
    without = read_images("tf_data", {}, manifest, epochs=4, start_step=5)
    cached = read_images("tf_data", {"cache": cache}, manifest, epochs=4, start_step=5)
    for one, other in zip(without, cached, strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("cache", ["none", "decoded"])
def test_without_determinism_each_row_still_comes_once_per_epoch(manifest, cache):
    settings = {"deterministic": False, "num_parallel_calls": 4, "cache": cache}
    spec = SPEC.model_copy(update={"augment": Augment()})
    _, plain = read_images("tf_data", {}, manifest, SPEC.for_evaluation(), epochs=1)
    rows, images = read_images("tf_data", settings, manifest, spec, epochs=3)
    assert np.bincount(rows).tolist() == [3] * len(manifest)
    assert np.array_equal(images, plain[rows])


@pytest.mark.parametrize("name", LOADERS)
def test_another_seed_gives_another_order(manifest, name):
    one, other = (
        next(
            read_images(
                name,
                REQUIRED.get(name, {}),
                manifest,
                SPEC.model_copy(update={"seed": seed}),
                epochs=1,
            )
        )
        for seed in (7, 8)
    )
    assert sorted(one) == sorted(other)
    assert one.tolist() != other.tolist()


@pytest.mark.parametrize("name", LOADERS)
def test_without_a_number_of_epochs_a_stream_is_endless(manifest, name):
    with open_loader(name, manifest, SPEC, REQUIRED.get(name)) as stream:
        rows = np.concatenate([batch.rows for batch in islice(stream, 3 * len(manifest) // 4 + 3)])
    assert np.bincount(rows).min() >= 3


@pytest.mark.parametrize("name", LOADERS)
def test_starting_after_the_end_gives_no_batches(manifest, name):
    settings = REQUIRED.get(name)
    with open_loader(name, manifest, SPEC, settings, epochs=2, start_step=1_000) as stream:
        assert list(stream) == []
