"""Labels, splits and what a source cannot be: each as stated, or one line that says why not."""

import gzip
import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import pytest

from feedbench.loaders import SourceError, read_file, scan
from feedbench.loaders.containers import listing as listing_module

JPEG = b"\xff\xd8\xff" + bytes(30)


def add(file, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    file.addfile(member, io.BytesIO(data))


def tar(path, members):
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as file:
        for name, data in members.items():
            add(file, name, data)
    return path


def pair(key, label):
    return {f"{key}.jpg": JPEG, f"{key}.cls": str(label).encode()}


def test_splits_come_from_the_names_of_shards(tmp_path):
    for split, count in (("train", 3), ("val", 2), ("test", 1)):
        members = {}
        for number in range(count):
            members |= pair(f"{number}", number % 2)
        tar(tmp_path / f"photos-{split}-000.tar", members)
    counts = scan(tmp_path).counts()
    assert [sum(counts[split].values()) for split in ("train", "validation", "test")] == [3, 2, 1]


def test_splits_come_from_folders_and_a_pattern_selects(tmp_path):
    tar(tmp_path / "train" / "a-1.tar", pair("x", "cat") | pair("y", "dog"))
    tar(tmp_path / "test" / "a-1.tar", pair("x", "cat"))
    assert scan(tmp_path).splits.tolist() == [0, 0, 2]
    assert len(scan(tmp_path / "train" / "*.tar")) == 2
    assert scan(tmp_path).classes == ("cat", "dog")


def test_some_splits_in_names_are_not_enough(tmp_path):
    tar(tmp_path / "train-1.tar", pair("x", 0))
    tar(tmp_path / "more.tar", pair("x", 0))
    with pytest.raises(SourceError, match=r"more\.tar: no split in its name"):
        scan(tmp_path)


def test_numbers_without_names_are_sorted_as_numbers(tmp_path):
    tar(tmp_path / "a.tar", pair("x", 10) | pair("y", 9))
    assert scan(tmp_path).classes == ("9", "10")


@pytest.mark.parametrize("label", [2, -1])
def test_a_label_beyond_the_names_is_refused(tmp_path, label):
    tar(tmp_path / "a.tar", pair("w", 0) | pair("x", label))
    (tmp_path / "classes.txt").write_text("ant\nbee\n")
    line = rf"a\.tar:x\.jpg: label {label} is none of the 2 classes"
    with pytest.raises(SourceError, match=line):
        scan(tmp_path)


def test_masks_are_no_images_and_a_name_may_come_twice(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for name in ("x.jpg", "x.seg.png", "x.cls"):
            add(file, name, b"0")
    assert scan(tmp_path, validation=0, test=0).path(0).endswith("a.tar:x.jpg")


def test_stated_features_are_used(tmp_path, write_records):
    write_records(
        tmp_path / "a.tfrecord",
        [{"left": JPEG, "right": JPEG, "kind": 1, "other": 0}],
    )
    with pytest.raises(SourceError, match=r'state it in source.toml .*: image = "NAME"'):
        scan(tmp_path)
    (tmp_path / "source.toml").write_text('image = "photo"')
    with pytest.raises(SourceError, match="no feature 'photo' for the image found among kind, "):
        scan(tmp_path)
    stated = 'image = "right"\nlabel = "kind"\nclasses = ["ant", "bee"]\n'
    (tmp_path / "source.toml").write_text(stated)
    manifest = scan(tmp_path, validation=0, test=0)
    assert manifest.classes == ("ant", "bee")
    assert manifest.labels.tolist() == [1]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("picture = 'x'", "no field 'picture'; there are image, label, classes"),
        ("classes = 'x'", "classes must be a list of names, got 'x'"),
        ("image =", "cannot be read"),
    ],
)
def test_a_wrong_source_toml_is_one_line(tmp_path, text, line):
    tar(tmp_path / "a.tar", pair("x", 0))
    (tmp_path / "source.toml").write_text(text)
    with pytest.raises(SourceError, match=line):
        scan(tmp_path)


def test_shards_that_are_compressed_as_a_whole_are_refused(tmp_path):
    plain = tar(tmp_path / "a" / "a.tar", pair("x", 0))
    packed = tmp_path / "b" / "a.tar.gz"
    packed.parent.mkdir()
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    with pytest.raises(SourceError, match="decompress it, with gunzip"):
        scan(packed.parent)
    shutil.move(packed, packed.with_name("records.tfrecord"))
    with pytest.raises(SourceError, match="compressed as a whole"):
        scan(packed.parent)


def test_shards_of_several_kinds_are_refused(tmp_path):
    tar(tmp_path / "a.tar", pair("x", 0))
    (tmp_path / "b.zip").write_bytes(b"")
    with pytest.raises(SourceError, match=r"several kinds \(tar, zip\)"):
        scan(tmp_path)


def test_an_archive_beside_the_class_folders_is_no_shard(folder, tmp_path):
    root = shutil.copytree(folder, tmp_path / "photos")
    (root / "photos.zip").write_bytes(b"")
    assert scan(root).layout == "folder"


def test_a_file_without_images_is_one_line(tmp_path):
    tar(tmp_path / "a.tar", {"readme.txt": b"x"})
    with pytest.raises(SourceError, match=r"no images with a class in a\.tar$"):
        scan(tmp_path)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.zip").write_bytes(b"no zip")
    with pytest.raises(SourceError, match="cannot be listed: File is not a zip file"):
        scan(tmp_path / "b" / "x.zip")


def test_a_listing_is_kept_until_the_shard_changes(tmp_path, monkeypatch):
    path = tar(tmp_path / "a.tar", pair("x", 0))
    first = scan(path)

    def fail(*_):
        raise AssertionError("listed again")

    monkeypatch.setitem(listing_module._LISTERS, "tar", fail)
    assert scan(path).table.equals(first.table)
    tar(path, pair("x", 0) | pair("y", 1))
    with pytest.raises(AssertionError):
        scan(path)


def test_a_json_without_a_label_names_the_member(tmp_path):
    members = {"x.jpg": b"0", "x.json": json.dumps({"caption": "a"}).encode()}
    path = tar(tmp_path / "a.tar", members)
    with pytest.raises(SourceError, match=r"a\.tar:x\.json: no label in it: none of the fields"):
        scan(path)


def test_keras_directory_says_that_it_reads_folders_only(sources):
    from feedbench.loaders import BatchSpec, open_loader

    with pytest.raises(SourceError, match="needs one folder per class, got tar shards"):
        open_loader("keras_directory", scan(sources["tar"]), BatchSpec())


def test_class_names_are_those_of_the_metadata(sources):
    assert scan(sources["parquet"]).classes == ("ant", "bee", "cat")


def test_what_datasets_leaves_beside_a_saved_data_set_is_no_shard(sources, tmp_path):
    saved = shutil.copytree(sources["arrow"], tmp_path / "saved")
    (saved / "cache-0123456789abcdef.arrow").write_bytes(b"x")
    assert len(scan(saved)) == 45


def test_array_records_are_refused(tmp_path):
    (tmp_path / "photos-train.array_record-00000-of-00001").write_bytes(b"x")
    with pytest.raises(SourceError, match="prepare the data set with file_format='tfrecord'"):
        scan(tmp_path)


@pytest.mark.parametrize("form", ["zip", "tar", "tfrecord", "arrow", "parquet"])
def test_a_shard_may_have_a_name_that_is_not_utf8(form, sources, tmp_path):
    root = Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff"))
    root.mkdir()
    source = sources[form]
    for shard in [source] if source.is_file() else source.rglob("*-0*"):
        shutil.copy(shard, root)
    if form == "tfrecord":
        shutil.copy(source / "classes.txt", root)
    manifest = scan(root, validation=0, test=0)
    assert len(manifest) == 45
    assert read_file(manifest.address(0)) == read_file(scan(source, test=0).address(0))
