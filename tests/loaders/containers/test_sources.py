"""The same images in every form give the same rows, pixels and order as a folder of them."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from feedbench.loaders import BatchSpec, SettingsError, open_loader, read_file, scan
from feedbench.loaders.faults import Faults, tolerance
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.pack.build import Packing, fill, opened

SPEC = BatchSpec(batch_size=8, image_size=24, seed=5)
FORMS = {
    "zip": "zip",
    "deflated": "zip",
    "tar": "tar",
    "folders": "tar",
    "tfrecord": "tfrecord",
    "tfds": "tfrecord",
    "arrow": "arrow",
    "ipc": "arrow",
    "parquet": "parquet",
    "plain": "parquet",
    "v2": "parquet",
}
LIVE = (
    ("turbo", {}),
    ("keras_pil", {}),
    ("tf_data", {}),
    ("tf_data", {"cache": "encoded", "num_parallel_calls": 1}),
)


def whole(source):
    return scan(source, validation=0, test=0)


def delivered(name, manifest, settings):
    with open_loader(name, manifest, SPEC, settings, epochs=2) as stream:
        batches = [(np.array(batch.images), batch.labels, batch.rows) for batch in stream]
    return [np.concatenate(column) for column in zip(*batches, strict=True)]


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_rows_of_the_folder(form, folder, sources, images):
    manifest, of_folder = whole(sources[form]), whole(folder)
    assert manifest.layout == FORMS[form]
    assert manifest.classes == of_folder.classes
    assert manifest.labels.tolist() == of_folder.labels.tolist()
    data = [read_file(path) for path in manifest.paths(np.arange(len(manifest)))]
    assert data == [data for _, _, data in images]


@pytest.mark.parametrize("form", FORMS)
def test_a_row_is_named_by_shard_and_member(form, sources, images):
    manifest = whole(sources[form])
    shard, _, member = manifest.path(7).rpartition(":")
    assert os.path.isfile(shard)
    assert member.endswith(images[7][0]) or form == "tfds"
    assert "\0" not in manifest.path(7)


@pytest.mark.parametrize(("name", "settings"), LIVE)
def test_loaders_give_the_same_pixels_in_the_same_order(name, settings, folder, sources):
    expected = delivered(name, whole(folder), settings)
    for form, path in sources.items():
        given = delivered(name, whole(path), settings)
        for one, other in zip(given, expected, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=form)


def test_held_out_images_are_those_of_the_folder(folder, sources):
    expected = scan(folder, seed=4)
    for form, path in sources.items():
        if form != "tfds":  # whose name says that all are for training
            assert scan(path, seed=4).splits.tolist() == expected.splits.tolist(), form


@pytest.mark.parametrize("form", FORMS)
def test_a_manifest_of_shards_can_be_saved(form, sources, tmp_path):
    manifest = whole(sources[form])
    manifest.write(tmp_path / "m.parquet")
    read = Manifest.read(tmp_path / "m.parquet")
    rows = np.arange(len(manifest))
    assert read.paths(rows) == manifest.paths(rows)
    assert scan(tmp_path / "m.parquet").layout == manifest.layout
    assert read.fingerprint(sizes=True) == manifest.fingerprint(sizes=True)


@pytest.mark.parametrize("form", FORMS)
def test_an_audit_reads_each_member(form, folder, sources, with_facts):
    audited, expected = with_facts(whole(sources[form])), with_facts(whole(folder))
    for column in ("digest", "format", "width", "pillow", "tensorflow", "same_pixels", "bytes"):
        assert audited.table[column].equals(expected.table[column]), column


def packed(source, out):
    manifest = whole(source)
    packing = Packing(manifest, SPEC, "arrays")
    with opened(packing, out) as writer:
        fill(packing, writer, Faults(tolerance("raise", 0, len(manifest))), lambda _: None)
    return delivered("packed", manifest, {"pack": str(out)})


def test_packs_of_every_form_hold_the_same_pixels(folder, sources, tmp_path):
    expected = packed(folder, tmp_path / "folder")
    for form, path in sources.items():
        for one, other in zip(packed(path, tmp_path / form), expected, strict=True):
            np.testing.assert_array_equal(one, other, err_msg=form)


@pytest.mark.parametrize("form", ["zip", "folders"])
def test_a_pack_is_refused_after_its_shard_has_changed(form, sources, tmp_path):
    source = Path(shutil.copy(sources[form], tmp_path))
    packed(source, tmp_path / "pack")
    os.utime(source, ns=(0, 10**18))
    with pytest.raises(SettingsError, match=rf"{source.name}:.* has changed, as have 44 others"):
        delivered("packed", whole(source), {"pack": str(tmp_path / "pack")})
