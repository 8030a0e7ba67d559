"""The stages of a loader do what that loader does: its own decoder, its own pack, its own cache."""

import multiprocessing
import os
import signal
from pathlib import Path

import numpy as np
import pytest
import simplejpeg

from feedbench.loaders import (
    Augment,
    BatchSpec,
    WorkerError,
    find_loader,
    parse_settings,
    scan,
)
from feedbench.loaders.augment.draws import ANGLE
from feedbench.loaders.images.tensorflow import Decoding, decoder, region_decoder
from feedbench.loaders.stages.stage import on_processes, on_threads, repeated, sample

SPEC = BatchSpec(batch_size=8, image_size=32, augment={"horizontal_flip": True})
pytestmark = pytest.mark.usefixtures("beside_packs")


@pytest.fixture(scope="module")
def manifest(splits_folder):
    return scan(splits_folder).only("train")


def stages_of(name, manifest, **settings):
    loader = find_loader(name)
    return loader.stages(manifest, SPEC, parse_settings(loader, settings))


def names(stages):
    parts = ("reading", "decode", "transform", "batch_copy")
    return [part for part in parts if getattr(stages, part) is not None]


def test_turbo_is_decoded_by_libjpeg_at_full_size_and_not_by_tensorflow(manifest):
    work = stages_of("turbo", manifest).decode.__self__
    rows, files = sample(manifest)
    scaled = Decoding(manifest, SPEC, "scaled")
    smaller = 0
    for index, data in enumerate(files):
        pixels = work.picture(index)
        assert np.array_equal(pixels, simplejpeg.decode_jpeg(data))
        smaller += scaled(data, 0).shape != pixels.shape
    assert len(rows) == len(manifest)
    assert smaller > 0


@pytest.mark.parametrize("make", [decoder, region_decoder])
def test_a_way_of_decoding_that_tensorflow_lacks_is_not_taken_for_another(make):
    with pytest.raises(KeyError):
        make("full", SPEC)


def test_turbo_scaled_is_decoded_by_scaled_libjpeg(manifest):
    full, scaled = (stages_of("turbo", manifest, decode=way).decode for way in ("full", "scaled"))
    sizes = [
        (full.__self__.picture(index).size, scaled.__self__.picture(index).size)
        for index in range(len(manifest))
    ]
    assert all(small <= large for large, small in sizes)
    assert any(small < large for large, small in sizes)


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("keras_pil", {}, ["reading", "decode", "transform", "batch_copy"]),
        ("keras_directory", {}, ["reading", "decode", "transform", "batch_copy"]),
        ("tf_data", {}, ["reading", "decode", "transform", "batch_copy"]),
        ("tf_data", {"cache": "encoded"}, ["decode", "transform", "batch_copy"]),
        ("tf_data", {"cache": "decoded"}, ["batch_copy"]),
        ("tf_data", {"cache": "disk"}, ["batch_copy"]),
        ("turbo", {}, ["reading", "decode", "transform"]),
        ("turbo", {"output": "float32"}, ["reading", "decode", "transform", "batch_copy"]),
        ("turbo", {"cache": "decoded"}, ["batch_copy"]),
        ("turbo", {"cache": "packed", "pack_dir": "own"}, ["reading", "transform"]),
        ("packed", {"pack": "arrays"}, ["reading", "transform"]),
        ("packed", {"pack": "jpeg"}, ["reading", "decode", "transform"]),
    ],
    ids=str,
)
def test_a_loader_has_the_stages_that_it_works_at_with_its_cache_full(
    manifest, name, settings, expected
):
    assert names(stages_of(name, manifest, **settings)) == expected


def test_building_stages_reads_and_writes_nothing_but_a_packs_index(manifest, monkeypatch):
    monkeypatch.setattr(Path, "read_bytes", None)
    for name, settings in (
        ("keras_pil", {}),
        ("tf_data", {"cache": "disk", "cache_dir": "nowhere"}),
        ("turbo", {"cache": "packed", "pack_dir": "nowhere"}),
    ):
        stages_of(name, manifest, **settings)
    assert not Path("nowhere").exists()


def test_a_pack_is_read_row_by_row(manifest, packs):
    for kind in ("arrays", "jpeg"):
        stages = stages_of("packed", manifest, pack=kind)
        rows = np.arange(len(manifest))
        sizes = [stages.reading.read(item) for item in stages.reading.find(rows)]
        assert sum(sizes) == stages.reading.pack_bytes
        assert (sizes == [3 * 32 * 32] * len(rows)) == (kind == "arrays")


def test_whole_files_are_read_by_their_own_bytes(manifest):
    for name in ("keras_pil", "turbo"):
        reading = stages_of(name, manifest).reading
        rows = np.array([3, 1])
        sizes = [reading.read(item) for item in reading.find(rows)]
        assert sizes == [Path(manifest.path(row)).stat().st_size for row in rows]
        assert reading.pack_bytes is None


def test_a_process_of_a_core_that_is_killed_is_an_error_instead_of_a_hang():
    run = on_processes(lambda item: os.kill(os.getpid(), signal.SIGKILL), 4, 2)
    for _ in range(2):
        with pytest.raises(WorkerError, match="measures on a core was ended"):
            run(0.0)


def test_work_is_counted_on_each_core_and_done_at_least_once():
    assert repeated(iter([3, 4]))(0.0).images == 3
    seen = []
    assert on_threads(seen.append, 4, 2, images=5)(0.0).images == 10
    assert sorted(seen) == [0, 2]
    before = set(multiprocessing.active_children())
    assert on_processes(seen.append, 4, 3)(0.0).images == 3
    assert sorted(seen) == [0, 2]  # what the processes did is in their own memory
    for process in set(multiprocessing.active_children()) - before:
        process.kill()  # they would end with the process of this test
        process.join()


@pytest.mark.parametrize(
    ("name", "settings", "expected"),
    [
        ("keras_pil", {}, ("in line", 1)),
        ("keras_pil", {"workers": 3}, ("threads", 3)),
        ("keras_pil", {"workers": 3, "use_multiprocessing": True}, ("processes", 3)),
        ("keras_directory", {}, ("pipelined", None)),
        ("tf_data", {"num_parallel_calls": 1, "prefetch": 0}, ("in line", 1)),
        ("tf_data", {"num_parallel_calls": 1}, ("pipelined", 1)),
        ("tf_data", {"private_threads": 7}, ("pipelined", 7)),
        ("tf_data", {"private_threads": 7, "num_parallel_calls": 3}, ("pipelined", 3)),
        ("tf_data", {"private_threads": 2, "cache": "decoded"}, ("pipelined", 2)),
        ("turbo", {}, ("threads", None)),
        ("turbo", {"num_threads": 5, "cache": "decoded"}, ("threads", 5)),
        ("packed", {"pack": "arrays", "num_threads": 5}, ("threads", 5)),
    ],
    ids=str,
)
def test_a_loader_declares_how_many_images_it_works_on_at_once(manifest, name, settings, expected):
    declared = stages_of(name, manifest, **settings).concurrency
    assert (declared.kind, declared.workers) == expected


@pytest.mark.parametrize(
    ("name", "settings", "most"),
    [
        ("keras_pil", {}, 1),
        ("keras_pil", {"workers": 3}, 3),
        ("keras_directory", {}, None),
        ("tf_data", {}, None),
        ("tf_data", {"num_parallel_calls": 1}, 1),
        ("tf_data", {"num_parallel_calls": 9_999}, 9_999),
        ("turbo", {}, None),
        ("turbo", {"num_threads": 5}, 5),
    ],
    ids=str,
)
def test_a_loader_declares_how_many_it_would_work_on_with_more_cores(
    manifest, name, settings, most
):
    assert stages_of(name, manifest, **settings).concurrency.most_workers == most


@pytest.mark.parametrize("name", ["keras_pil", "keras_directory", "tf_data", "turbo"])
def test_the_transform_augments_as_the_loader_does(manifest, name, monkeypatch):
    turned = []

    def rotates(images, draws, *_):
        turned.extend(draws[:, ANGLE].tolist())
        return images

    for module in ("augment.host", "images.tensorflow_finish"):
        monkeypatch.setattr(f"feedbench.loaders.{module}.augmented", rotates)
    spec = SPEC.model_copy(update={"augment": Augment(rotation=30)})
    loader = find_loader(name)
    transform = loader.stages(manifest, spec, parse_settings(loader, {})).transform
    assert transform(1)(0.0).images > 0
    assert set(turned) - {0.0}


@pytest.mark.parametrize("name", ["keras_pil", "tf_data"])
def test_the_transform_works_on_all_cores(manifest, name):
    spec = SPEC.model_copy(update={"augment": Augment(rotation=30)})
    loader = find_loader(name)
    assert loader.stages(manifest, spec, parse_settings(loader, {})).transform(2)(0.01).images
