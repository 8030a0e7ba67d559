"""Exported code reads what the loader reads, and leaves out the same, whatever files are called."""

import os
import runpy
import shutil
from dataclasses import replace
from datetime import date

import numpy as np
import pytest

from feedbench.bench.analysis.best import Best
from feedbench.bench.export.module import exported, module_text
from feedbench.loaders import scan


@pytest.fixture
def opened(tmp_path):
    """Returns the names in the module that reads a source as tf_data does."""

    def run(manifest):
        best = Best(loader="tf_data", spec={"batch_size": 10, "image_size": 32})
        code = module_text(exported("tf_data", best), manifest, "pipeline.py", date(2026, 1, 2))
        (tmp_path / "pipeline.py").write_text(code)
        return runpy.run_path(str(tmp_path / "pipeline.py"))

    return run


def test_files_with_odd_names_are_read_or_left_out(class_folder, tmp_path, opened, with_facts):
    folder = shutil.copytree(class_folder, tmp_path / "photos")
    odd = ['it\'s "so".jpg', "back\\slash.jpg", "new\nline.jpg", os.fsdecode(b"caf\xe9.jpg")]
    for name in odd:
        shutil.copy(folder / "ant" / "03.jpg", folder / "ant" / name)
        (folder / "bee" / name).write_bytes(b"not a photograph")
    manifest = with_facts(scan(folder))
    readable = set(manifest.paths(np.arange(len(manifest))))
    readable -= {os.fsencode(folder / "bee" / name) for name in odd}
    module, found = opened(manifest), []
    for split in ("train", "validation", "test"):
        paths = module["list_images"](folder, split)[0]
        found += map(os.fsencode, paths)
        batches = module["make_dataset"](folder, split, epochs=1)
        assert sum(len(labels) for _, labels in batches) == len(paths)
    assert set(found) == readable
    assert len(found) == len(readable)


def test_rows_of_a_csv_are_left_out_however_they_name_their_files(
    class_folder, tmp_path, opened, with_facts
):
    folder = shutil.copytree(class_folder, tmp_path / "photos")
    names = [str(folder / "ant" / f"{number:02}.jpg") for number in range(15)]
    names += [f"./bee//{number:02}.jpg" for number in range(15)]
    table = folder / "photos.csv"
    table.write_text("path,label,split\n" + "".join(f"{name},a,train\n" for name in names))
    for name in ("ant/03.jpg", "bee/03.jpg"):
        (folder / name).write_bytes(b"not a photograph")
    module = opened(with_facts(scan(table)))
    paths = module["list_images"](str(table), "train")[0]
    assert len(paths) == 28
    assert not any(path.endswith("03.jpg") for path in paths)


def with_a_class_called_train(folder):
    shutil.move(folder / "bee", folder / "train")


def with_a_link_to_the_folder_above(folder):
    (folder / "all").symlink_to("..")


def with_a_broken_link_that_is_no_photo(folder):
    (folder / "ant" / "03.txt").symlink_to("nowhere")


def with_a_broken_link_and_an_empty_folder_called_like_photos(folder):
    (folder / "ant" / "03a.jpg").symlink_to("nowhere")
    (folder / "ant" / "z.jpg").mkdir()


def with_a_link_to_another_class_inside(folder):
    (folder / "ant" / "bees").symlink_to(folder / "bee")


def with_names_that_sort_otherwise_as_text(folder):
    for name in (b"\xff.jpg", "\ue000.jpg".encode(), "\U0001f600.jpg".encode()):
        shutil.copy(folder / "ant" / "00.jpg", os.path.join(os.fsencode(folder / "ant"), name))


@pytest.mark.parametrize(
    "change",
    [
        with_a_class_called_train,
        with_a_link_to_the_folder_above,
        with_a_broken_link_that_is_no_photo,
        with_a_broken_link_and_an_empty_folder_called_like_photos,
        with_a_link_to_another_class_inside,
        with_names_that_sort_otherwise_as_text,
    ],
)
@pytest.mark.parametrize("is_known", [True, False])
def test_no_image_is_in_another_class_or_split_than_in_a_scan(
    class_folder, tmp_path, opened, change, is_known
):
    folder = shutil.copytree(class_folder, tmp_path / "photos")
    change(folder)
    manifest = scan(folder)
    module = opened(manifest if is_known else None)
    for split in ("train", "validation", "test"):
        expected = manifest.only(split)
        paths, labels = module["list_images"](folder, split)
        assert list(map(os.fsencode, paths)) == expected.paths(np.arange(len(expected)))
        assert labels.tolist() == expected.labels.tolist()


def test_two_folders_of_a_split_are_named(splits_folder, tmp_path, opened):
    """A scan reads both; the file would read one of them."""
    folder = shutil.copytree(splits_folder, tmp_path / "photos")
    shutil.copytree(folder / "validation", folder / "val")
    with pytest.raises(ValueError, match="several folders of the validation split; keep one"):
        opened(scan(folder))["list_images"](folder, "validation")


def test_a_manifest_is_read_by_the_loader_itself(class_folder, tmp_path, opened):
    """Its splits may be any, and its rows a part of a folder."""
    source = tmp_path / "m.parquet"
    scan(class_folder, seed=5, validation=0.3, test=0.3).write(source)
    manifest = replace(scan(source), source=source)
    expected = manifest.only("validation")
    with opened(manifest)["make_dataset"](source, "validation", epochs=1) as stream:
        labels = np.concatenate([batch.labels for batch in stream])
    assert labels.tolist() == expected.labels.tolist()
