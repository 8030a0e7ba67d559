"""One contract for all loaders: the batches, their order, and that nothing is left behind."""

import multiprocessing
import threading
from itertools import islice

import numpy as np
import pytest

from feedbench.loaders import (
    LOADERS,
    Augment,
    BatchSpec,
    LoaderError,
    Order,
    open_loader,
    parse_settings,
    scan,
)

SPEC = BatchSpec(batch_size=8, image_size=32, seed=3)
VARIANTS = [
    ("keras_pil", {}),
    ("keras_pil", {"workers": 2, "max_queue_size": 3}),
    ("keras_pil", {"workers": 2, "use_multiprocessing": True, "max_queue_size": 2}),
    ("keras_directory", {}),
    ("tf_data", {}),
    ("tf_data", {"num_parallel_calls": 1, "prefetch": 0}),
    ("tf_data", {"cache": "encoded"}),
    ("tf_data", {"cache": "decoded"}),
    ("tf_data", {"cache": "decoded", "output": "float32"}),
    ("tf_data", {"cache": "disk"}),
    ("tf_data", {"decode": "jpeg"}),
    ("tf_data", {"decode": "scaled", "private_threads": 1}),
    ("tf_data", {"output": "float32"}),
    ("turbo", {}),
    ("turbo", {"num_threads": 1, "prefetch": 0}),
    ("turbo", {"decode": "scaled"}),
    ("turbo", {"output": "float32"}),
    ("turbo", {"cache": "decoded"}),
    ("turbo", {"cache": "packed", "pack_dir": "own"}),
    ("packed", {"pack": "arrays"}),
    ("packed", {"pack": "arrays", "num_threads": 1, "prefetch": 0, "output": "float32"}),
    ("packed", {"pack": "jpeg"}),
    ("packed", {"pack": "jpeg", "decode": "scaled"}),
    ("synthetic", {}),
    ("synthetic", {"output": "float32"}),
]
pytestmark = pytest.mark.usefixtures("beside_packs")
every_variant = pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=str)


@pytest.fixture(scope="module")
def manifest(splits_folder):
    return scan(splits_folder).only("train")


def read_batches(name, settings, manifest, spec=SPEC, **options):
    with open_loader(name, manifest, spec, settings, **options) as stream:
        return [(np.asarray(images), labels, rows) for images, labels, rows in stream]


def rows_of(batches):
    return np.concatenate([rows for _, _, rows in batches])


def test_every_loader_is_tested_here():
    assert {name for name, _ in VARIANTS} == LOADERS.keys()


@every_variant
def test_two_epochs_keep_the_contract(manifest, name, settings):
    loader = LOADERS[name]
    batches = read_batches(name, settings, manifest, epochs=2)
    dtype = parse_settings(loader, settings).image_dtype
    for images, labels, rows in batches:
        assert images.shape == (len(rows), 32, 32, 3)
        assert images.dtype == dtype
        assert (labels.dtype, rows.dtype) == (np.int32, np.int64)
        assert labels.tolist() == manifest.labels[rows].tolist()
        names = [manifest.path(row).split("/")[-2] for row in rows]
        assert names == [manifest.classes[label] for label in labels]
        low, high = (0, 255) if dtype == "uint8" else (0, 1)
        assert images.min() >= low
        assert high / 2 < images.max() <= high + 1e-6
    rows = rows_of(batches)
    count = len(manifest)
    for epoch in (rows[:count], rows[count:]):
        assert sorted(epoch) == list(range(count))
    assert rows[:count].tolist() != rows[count:].tolist()
    if loader.follows_order:
        order = Order(count, 8, seed=3, epochs=2)
        assert rows.tolist() == order.rows(0, 2 * count).tolist()
        assert all(len(rows) == 8 for _, _, rows in batches[:-1])


@every_variant
def test_the_same_seed_repeats_the_same_pixels(manifest, name, settings):
    spec = SPEC.model_copy(update={"augment": Augment(horizontal_flip=True)})
    for one, other in zip(
        read_batches(name, settings, manifest, spec, epochs=2),
        read_batches(name, settings, manifest, spec, epochs=2),
        strict=True,
    ):
        assert one[2].tolist() == other[2].tolist()
        assert np.array_equal(one[0], other[0])


@every_variant
def test_a_stream_can_start_in_the_middle_of_an_epoch(manifest, name, settings):
    whole = read_batches(name, settings, manifest, epochs=3)
    started = read_batches(name, settings, manifest, epochs=3, start_step=3)
    assert rows_of(started).tolist() == rows_of(whole[3:]).tolist()
    for one, other in zip(started, whole[3:], strict=True):
        assert np.allclose(one[0], other[0], atol=1e-6)


@every_variant
def test_closing_an_endless_stream_leaves_no_threads_processes_or_files(
    manifest, name, settings, tmp_path
):
    kept = tmp_path / "kept"
    kept.mkdir()
    if settings.get("cache") == "disk":
        settings = {**settings, "cache_dir": str(kept)}
    threads = set(threading.enumerate())
    with open_loader(name, manifest, SPEC, settings) as stream:
        for batch in islice(stream, 14):
            assert len(batch.rows)
    with pytest.raises(LoaderError, match="closed"):
        next(stream)
    stream.close()
    assert set(threading.enumerate()) <= threads
    assert not multiprocessing.active_children()
    assert not list(kept.iterdir())


def test_another_seed_gives_another_order(manifest):
    other = SPEC.model_copy(update={"seed": 4})
    one = rows_of(read_batches("tf_data", {}, manifest, epochs=1))
    assert one.tolist() != rows_of(read_batches("tf_data", {}, manifest, other, epochs=1)).tolist()


def test_without_shuffle_rows_keep_the_manifests_order(manifest):
    plain = SPEC.for_evaluation()
    for name in ("keras_pil", "tf_data", "turbo", "synthetic", "keras_directory"):
        rows = rows_of(read_batches(name, {}, manifest, plain, epochs=1))
        assert rows.tolist() == list(range(len(manifest)))


def test_keras_directory_can_read_a_part_of_a_folder(class_folder):
    manifest = scan(class_folder, seed=1).only("train")
    assert manifest.left
    batches = read_batches("keras_directory", {}, manifest, epochs=1)
    assert sorted(rows_of(batches)) == list(range(len(manifest)))
    plain = read_batches("tf_data", {"output": "float32"}, manifest, epochs=1)
    theirs = {
        row: image for images, _, rows in batches for row, image in zip(rows, images, strict=True)
    }
    for images, _, rows in plain:
        for row, image in zip(rows, images, strict=True):
            assert np.abs(theirs[row] - image).max() < 0.02
