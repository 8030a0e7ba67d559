"""One contract for all loaders: the batches, their order, and that nothing is left behind."""

import multiprocessing
import threading
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from feedbench.bench.plan.plan import Choice, expand
from feedbench.loaders import (
    BASELINE,
    DEFAULT_LOADER,
    LOADERS,
    Augment,
    BatchSpec,
    LoaderError,
    Order,
    SourceError,
    extent_of,
    file_of,
    open_loader,
    parse_settings,
    scan,
)
from feedbench.loaders.manifest import AUDIT

SPEC = BatchSpec(batch_size=8, image_size=32, seed=3)
# What a loader cannot be opened without: packs that the fixture puts into the working folder.
NEEDED = {
    "packed": [{"pack": "arrays"}, {"pack": "jpeg"}],
    "ffcv": [{"pack_dir": "betons"}],
}
COMPILED = {"ffcv"}  # for seconds whenever they are opened: tested with their defaults alone
# Settings that matter together, or that no space and no suite holds.
TOGETHER = {
    "keras_pil": [{"workers": 2, "use_multiprocessing": True, "max_queue_size": 2}],
    "tf_data": [
        {"cache": "decoded", "output": "float32"},
        {"decode": "scaled", "private_threads": 1},
    ],
    "turbo": [{"cache": "packed", "pack_dir": "own"}],
    "synthetic": [{"output": "float32"}],
}


def variants(loader):
    """The defaults, each value of the search space, what the suites hold, and what is named here.

    Of numbers only the ends. What lets batches overtake each other is tested in test_sequence.
    """
    if loader.name in COMPILED:
        return NEEDED[loader.name]
    alone = [
        {name: value}
        for name in loader.space
        if name != "deterministic"
        for value in ends(loader.values(name))
    ]
    suites = [dict(one) for choices in loader.suites.values() for one in choices]
    more = [*alone, *(one.settings for one in expanded(loader, suites))]
    found = {}
    for needed in NEEDED.get(loader.name, [{}]):
        for one in [{}, *more, *TOGETHER.get(loader.name, [])]:
            settings = {**needed, **one}
            found.setdefault(str(parse_settings(loader, settings)), settings)
    return found.values()


def ends(values):
    numbers = [value for value in values if type(value) is int]
    return [one for one in values if type(one) is not int or one in (min(numbers), max(numbers))]


def expanded(loader, suites):
    able = loader.opens_by_default
    return expand(Choice(loader=loader.name, settings=one) for one in suites) if able else []


VARIANTS = [(name, settings) for name, loader in LOADERS.items() for settings in variants(loader)]
pytestmark = pytest.mark.usefixtures("beside_packs")
every_variant = pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=str)


@pytest.fixture
def manifest(name, for_loader):
    return for_loader(name)


@pytest.fixture(scope="module")
def three_epochs(for_loader):
    """A function: the batches of three epochs, which are read once for all tests."""
    read = {}

    def batches(name, settings):
        variant = (name, str(settings))
        if variant not in read:
            read[variant] = read_batches(name, settings, for_loader(name), epochs=3)
        return read[variant]

    return batches


def read_batches(name, settings, manifest, spec=SPEC, **options):
    with open_loader(name, manifest, spec, settings, **options) as stream:
        return [(np.asarray(images), labels, rows) for images, labels, rows in stream]


def rows_of(batches):
    return np.concatenate([rows for _, _, rows in batches])


def folder_of(path):
    """The folder of an image, also of one in a shard."""
    return Path(path).parent.name.rpartition(":")[2]


def place_of(manifest, row):
    """The shard of an image and where it begins in it; of a file, its path."""
    address = manifest.paths(np.array([row]))[0]
    extent = extent_of(address)
    return (file_of(address), extent.offset if extent else 0)


def test_every_loader_is_tested_here():
    assert {name for name, _ in VARIANTS} == LOADERS.keys()
    assert {"cache": "disk"} in [settings for name, settings in VARIANTS if name == "tf_data"]


@pytest.mark.parametrize("name", LOADERS)
def test_what_a_loader_declares_holds(name):
    loader = LOADERS[name]
    assert loader.name == name
    assert loader.space.keys() <= loader.settings.model_fields.keys()
    for setting in loader.space:
        assert loader.values(setting)[0] == loader.settings.model_fields[setting].default
    assert set(loader.readable_by) <= set(AUDIT.names)
    if name not in NEEDED:
        assert loader.opens_by_default
    if loader.role == "baseline" or loader.is_default:
        assert parse_settings(loader, {"output": "float32"}).image_dtype == "float32"
        assert parse_settings(loader, {"output": "uint8"}).image_dtype == "uint8"


def test_there_is_one_baseline_and_one_default():
    assert [one.name for one in LOADERS.values() if one.role == "baseline"] == [BASELINE]
    assert [one.name for one in LOADERS.values() if one.is_default] == [DEFAULT_LOADER]
    assert LOADERS[DEFAULT_LOADER].is_choice


@pytest.mark.parametrize("name", [name for name in LOADERS if name not in NEEDED])
def test_a_loader_reads_the_layouts_that_it_declares_and_refuses_others(
    name, splits_folder, class_folder, table
):
    for source in (splits_folder, class_folder, table):
        manifest = scan(source).only("train")
        if manifest.layout in LOADERS[name].layouts:
            rows = rows_of(read_batches(name, {}, manifest, epochs=1))
            assert sorted(rows) == list(range(len(manifest)))
        else:
            with pytest.raises(SourceError, match="use another loader"):
                read_batches(name, {}, manifest, epochs=1)


@every_variant
def test_every_stage_that_a_loader_declares_can_be_run_alone(manifest, name, settings):
    loader = LOADERS[name]
    if loader.stages is None:
        return
    stages = loader.stages(manifest, SPEC, parse_settings(loader, settings))
    parts = [stages.decode, stages.transform, stages.batch_copy]
    assert stages.reading or any(parts)
    for part in filter(None, parts):
        done = part(1)(0.0)
        assert done.images > 0
        assert done.seconds > 0
    if stages.reading:
        items = stages.reading.find(np.arange(3))
        assert len(items) == 3
        assert sum(map(stages.reading.read, items)) > 0


@every_variant
def test_three_epochs_keep_the_contract(three_epochs, manifest, name, settings):
    loader = LOADERS[name]
    batches = three_epochs(name, settings)
    dtype = parse_settings(loader, settings).image_dtype
    for images, labels, rows in batches:
        assert images.shape == (len(rows), 32, 32, 3)
        assert images.dtype == dtype
        assert (labels.dtype, rows.dtype) == (np.int32, np.int64)
        assert labels.tolist() == manifest.labels[rows].tolist()
        names = [folder_of(manifest.path(row)) for row in rows]
        assert names == [manifest.classes[label] for label in labels]
        low, high = (0, 255) if dtype == "uint8" else (0, 1)
        assert images.min() >= low
        assert high / 2 < images.max() <= high + 1e-6
    rows = rows_of(batches)
    count = len(manifest)
    epochs = rows.reshape(3, count)
    for epoch in epochs:
        assert sorted(epoch) == list(range(count))
    assert len(np.unique(epochs, axis=0)) == 3
    if loader.follows_order:
        order = Order(count, 8, seed=3, epochs=3)
        assert rows.tolist() == order.rows(0, 3 * count).tolist()
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
def test_a_stream_can_start_in_the_middle_of_an_epoch(three_epochs, manifest, name, settings):
    whole = three_epochs(name, settings)
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


def test_another_seed_gives_another_order(splits_folder):
    manifest = scan(splits_folder).only("train")
    other = SPEC.model_copy(update={"seed": 4})
    one, two = (
        rows_of(read_batches("tf_data", {}, manifest, spec, epochs=1)) for spec in (SPEC, other)
    )
    assert one.tolist() != two.tolist()


@pytest.mark.parametrize("name", LOADERS)
def test_without_shuffle_rows_keep_the_order_of_manifest_or_shards(manifest, name):
    plain, settings = SPEC.for_evaluation(), NEEDED.get(name, [{}])[0]
    rows = rows_of(read_batches(name, settings, manifest, plain, epochs=1)).tolist()
    in_shards = sorted(range(len(manifest)), key=lambda row: place_of(manifest, row))
    assert rows in (list(range(len(manifest))), in_shards)


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
