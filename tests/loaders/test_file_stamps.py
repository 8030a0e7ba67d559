"""What a scan knew of a file counts as long as it is the same file."""

import os
import shutil

import numpy as np
import pytest

from feedbench.loaders import (
    BatchSpec,
    SpecError,
    file_stamps,
    open_loader,
    scan,
    unscanned_rows,
    without_stale_facts,
)


@pytest.fixture
def photos(class_folder, tmp_path):
    return shutil.copytree(class_folder, tmp_path / "photos")


@pytest.fixture
def manifest(photos, with_facts):
    return with_facts(scan(photos, validation=0, test=0))


def rows_of(manifest, *names):
    paths = manifest.table["path"].to_pylist()
    return [paths.index(name) for name in names]


def test_facts_of_changed_files_are_dropped_and_no_others(photos, manifest):
    (photos / "bee" / "03.jpg").write_bytes(b"another file")
    os.utime(photos / "cat" / "00.jpg", ns=(0, 1))
    changed = rows_of(manifest, b"bee/03.jpg", b"cat/00.jpg")
    fresh = without_stale_facts(manifest)
    assert unscanned_rows(fresh).tolist() == changed
    kept = np.delete(np.arange(len(manifest)), changed)
    assert fresh.table.take(kept) == manifest.table.take(kept)
    assert fresh.table["digest"].take(changed).null_count == 2


def test_facts_of_files_that_are_gone_are_kept(photos, manifest):
    shutil.rmtree(photos)
    assert without_stale_facts(manifest) is manifest


@pytest.mark.parametrize("name", ["keras_pil", "keras_directory", "tf_data", "turbo"])
def test_photos_that_changed_since_the_scan_are_not_left_as_stored(photos, manifest, name):
    """Nobody has read how they are to be turned."""
    os.utime(photos / "bee" / "03.jpg", ns=(0, 1))
    fresh = without_stale_facts(manifest)
    spec = BatchSpec(batch_size=4, image_size=32, orientation="apply")
    with pytest.raises(SpecError, match=r"bee/03\.jpg is new or changed since the scan: run"):
        open_loader(name, fresh, spec)
    open_loader(name, fresh, spec.model_copy(update={"orientation": "ignore"})).close()


def test_files_without_a_status_have_none(photos):
    manifest = scan(photos, validation=0, test=0)
    (photos / "bee" / "03.jpg").unlink()
    stamps = file_stamps.file_stamps(manifest, np.arange(len(manifest)))
    (gone,) = rows_of(manifest, b"bee/03.jpg")
    assert np.flatnonzero(stamps["bytes"] == file_stamps.NO_FILE).tolist() == [gone]
    assert stamps[0].item() == (
        (photos / "ant" / "00.jpg").stat().st_size,
        (photos / "ant" / "00.jpg").stat().st_mtime_ns,
    )
