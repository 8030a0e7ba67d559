"""Shards that WebDataset itself reads: which rows they give, and what is wrong with them."""

import shutil
import tarfile

import numpy as np
import pytest

from feedbench.loaders import (
    BatchSpec,
    ImageError,
    LoaderError,
    SpecError,
    open_loader,
    parse_settings,
    scan,
)
from feedbench.loaders.address import extent_of, shard_of
from feedbench.loaders.guests.web_rows import SampleRows
from feedbench.loaders.guests.webdataset import LOADER

pytestmark = pytest.mark.guests("webdataset", "torch")
SPEC = BatchSpec(batch_size=4, image_size=16, seed=3)


@pytest.fixture
def shards(tar_shards, tmp_path):
    return shutil.copytree(tar_shards, tmp_path / "shards")


def read(manifest, settings=None, spec=SPEC, **options):
    with open_loader("webdataset", manifest, spec, settings, **options) as stream:
        return [(batch.rows, batch.images) for batch in stream], stream.dropped


def damage(manifest, row):
    """Overwrite the image of a row in its shard."""
    address = manifest.address(row).encode()
    extent = extent_of(address)
    with open(shard_of(address, extent), "r+b") as file:  # noqa: PTH123
        file.seek(extent.offset)
        file.write(b"x" * extent.length)


def test_rows_of_other_splits_are_passed_over(shards):
    for shard in shards.glob("train-*.tar"):  # a name that states no split
        shard.rename(shard.with_name(shard.name.replace("train", "part")))
    manifest = scan(shards, seed=5, validation=0.3, test=0).only("validation")
    rows = np.concatenate([rows for rows, _ in read(manifest, epochs=1)[0]])
    assert sorted(rows) == list(range(len(manifest)))


@pytest.mark.parametrize("workers", [0, 1, 2, 5])
def test_all_batches_of_an_epoch_but_the_last_are_full(shards, workers):
    manifest = scan(shards, validation=0, test=0)
    batches, _ = read(manifest, {"num_workers": workers}, epochs=2)
    sizes = [len(rows) for rows, _ in batches]
    assert sizes == ([4] * 11 + [1]) * 2
    assert all(len(images) == len(rows) for rows, images in batches)


@pytest.mark.parametrize("workers", [0, 2])
def test_an_image_that_cannot_be_read_is_dropped_and_named(shards, workers):
    manifest = scan(shards, validation=0, test=0)
    damage(manifest, 7)
    settings = {"num_workers": workers}
    batches, dropped = read(manifest, settings, epochs=2, on_error="skip", error_budget=0.1)
    assert [(fault.row, fault.path) for fault in dropped] == [(7, manifest.path(7))]
    assert [len(rows) for rows, _ in batches] == ([4] * 11 + [1]) * 2  # as without the damage
    counts = np.bincount(np.concatenate([rows for rows, _ in batches]), minlength=45)
    assert (counts[7], counts.sum()) == (0, 90)
    assert np.delete(counts, 7).min() == 2  # another takes its place in each epoch
    with pytest.raises(ImageError, match="row 7: Pillow cannot read it"):
        read(manifest, epochs=1)
    batches, dropped = read(manifest, epochs=1, dropped=dropped)  # not tried again
    rows = np.concatenate([rows for rows, _ in batches])
    assert (len(rows), len(set(rows)), 7 in rows) == (45, 44, False)


def test_a_data_set_for_keras_has_as_many_batches_as_it_says_although_images_are_dropped(shards):
    manifest = scan(shards, validation=0, test=0)
    for row in (3, 7, 21, 30, 31):  # without these, 40 images would make two batches less
        damage(manifest, row)
    with open_loader(
        "webdataset",
        manifest,
        SPEC.for_evaluation(),
        {"num_workers": 0},
        epochs=1,
        on_error="skip",
        error_budget=0.2,
    ) as stream:
        data = stream.as_keras()
        assert int(data.cardinality()) == len(list(data)) == 12


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("step", [5, 13])  # in the first epoch, and in the second
def test_a_resumed_epoch_goes_on_as_the_one_that_dropped_an_image(shards, workers, step):
    manifest = scan(shards, validation=0, test=0)
    damage(manifest, 7)
    settings = {"num_workers": workers, "shuffle": 8}
    options = {"epochs": 2, "on_error": "skip", "error_budget": 0.1}
    whole, dropped = read(manifest, settings, **options)
    rest, _ = read(manifest, settings, start_step=step, dropped=dropped, **options)
    assert [rows.tolist() for rows, _ in rest] == [rows.tolist() for rows, _ in whole[step:]]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_shard_that_ends_too_early_is_an_error_of_one_line(shards, workers):
    manifest = scan(shards, validation=0, test=0)
    with open(shards / "train-000001.tar", "r+b") as file:  # noqa: PTH123
        file.truncate(9_000)
    with pytest.raises(LoaderError, match=r"^webdataset: .*unexpected end of data") as raised:
        read(manifest, {"num_workers": workers}, epochs=1)
    assert "\n" not in str(raised.value)


def test_images_that_the_library_does_not_give_are_named(class_folder, tmp_path):
    photos = sorted(class_folder.rglob("*.jpg"))
    with tarfile.open(tmp_path / "all.tar", "w") as tar:
        tar.add(photos[0], "ant/0.jpg")
        tar.add(photos[-1], "bee/without-extension")
    manifest = scan(tmp_path, validation=0, test=0)
    with pytest.raises(LoaderError) as raised:
        read(manifest, {"num_workers": 1}, epochs=1)
    said = f"{tmp_path}/all.tar:bee/without-extension: webdataset does not give this image, nor 0 "
    assert str(raised.value).startswith(said)


def test_the_path_of_a_shard_may_hold_what_means_something_in_a_url(tar_shards, tmp_path):
    folder = shutil.copytree(tar_shards, tmp_path / "a%20b#c?d;e")
    manifest = scan(folder, validation=0, test=0)
    rows = np.concatenate([rows for rows, _ in read(manifest, epochs=1)[0]])
    assert sorted(rows) == list(range(len(manifest)))


def test_classes_cannot_be_balanced(shards):
    spec = SPEC.model_copy(update={"balance": 1.0})
    with pytest.raises(SpecError, match="webdataset cannot balance"):
        read(scan(shards), spec=spec)


def test_a_diagnosis_measures_all_rows_of_the_shards(shards):
    manifest = scan(shards, validation=0, test=0)
    stages = LOADER.stages(manifest, SPEC, parse_settings(LOADER, {}))
    assert stages.reading.needs_all_rows
    assert stages.reading.in_shards


def test_a_sample_is_found_by_shard_and_name_in_any_case(shards):
    manifest = scan(shards, validation=0, test=0)
    rows = SampleRows(manifest)
    assert rows.shards == sorted(map(str, shards.glob("*.tar")))
    shard, _, member = manifest.path(0).partition(".tar:")
    key = member.removesuffix(".jpg")
    sample = {"__key__": key, "__url__": f"{shard}.tar", "cls": b"0", "jpg": b"data"}
    assert rows.found(sample) == (0, manifest.path(0).encode(), b"data")
    assert rows.found({**sample, "__key__": "other"}) is None
