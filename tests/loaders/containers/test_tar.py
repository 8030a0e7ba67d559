"""What is in a tar: links, files of any extension, and samples of WebDataset."""

import io
import os
import shutil
import subprocess
import tarfile
import warnings
import zipfile

import numpy as np
import pytest

from feedbench.loaders import SourceError, SourceWarning, read_file, scan


def add(file, name, data):
    member = tarfile.TarInfo(name)
    member.size = len(data)
    file.addfile(member, io.BytesIO(data))


def link(file, name, target, kind=tarfile.SYMTYPE):
    member = tarfile.TarInfo(name)
    member.type, member.linkname = kind, target
    file.addfile(member)


def content(source):
    """Class and bytes of each image, in the order of the rows."""
    manifest = scan(source, validation=0, test=0)
    data = [read_file(path) for path in manifest.paths(np.arange(len(manifest)))]
    return [
        (manifest.classes[label], one) for label, one in zip(manifest.labels, data, strict=True)
    ]


@pytest.fixture
def linked(tmp_path):
    """Class folders with links, extensions that few know, and litter."""
    root = tmp_path / "photos"
    for name in ("a/1.jpg", "a/2.jfif", "a/3", "a/4.x.JPE", "b/1.jpg", "b/.hid", "b/Thumbs.db"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    os.link(root / "a/1.jpg", root / "b/hard.jpg")
    (root / "b/soft.jpg").symlink_to("../a/2.jfif")
    (root / "b/softer.jpg").symlink_to("soft.jpg")
    return root


def archives(root):
    with tarfile.open(root.with_suffix(".tar"), "w") as file:
        file.add(root, ".")
    with zipfile.ZipFile(root.with_suffix(".zip"), "w") as file:
        for path in root.rglob("*"):
            file.write(path, path.relative_to(root))


def test_a_class_whose_name_is_not_utf8_is_that_of_the_folder(tmp_path):
    folder = tmp_path / "photos" / os.fsdecode(b"caf\xe9")
    folder.mkdir(parents=True)
    for path in (folder / "1.jpg", folder.with_name("z") / "1.jpg"):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
    with tarfile.open(tmp_path / "photos.tar", "w") as file:
        file.add(tmp_path / "photos", ".")
    assert scan(tmp_path / "photos.tar").classes == scan(tmp_path / "photos").classes


def test_a_zip_whose_names_are_not_in_the_stated_encoding_is_refused(tmp_path):
    archive = tmp_path / "a.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.writestr("a/é.jpg", "x")
    archive.write_bytes(archive.read_bytes().replace("é".encode(), b"\xff\xfe"))
    with pytest.raises(SourceError, match=r"a\.zip: cannot be listed: .*; copy the zip again"):
        scan(archive)


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_an_archive_of_class_folders_has_the_images_of_the_folder(linked, suffix):
    archives(linked)
    expected = content(linked)
    assert len(expected) == 8
    assert content(linked.with_suffix(suffix)) == expected


def test_a_hard_link_has_the_bytes_that_its_target_had_when_it_was_added(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for part in (b"x", b"y"):
            add(file, "a/1.jpg", part)
            link(file, f"b/{part.decode()}.jpg", "a/1.jpg", tarfile.LNKTYPE)
    with pytest.warns(SourceWarning, match="1 file has the name of a later one"):
        read = content(tmp_path)
    assert read[-2:] == [("b", b"x"), ("b", b"y")]


@pytest.mark.parametrize("target", ["../../elsewhere.jpg", "/elsewhere.jpg", "x.jpg"])
def test_a_link_that_leads_out_of_a_tar_is_named(tmp_path, target):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        add(file, "a/1.jpg", b"x")
        link(file, "a/x.jpg", target)
    with pytest.raises(SourceError, match=r"a\.tar:a/x\.jpg: a link to .*jpg, which is not in"):
        scan(tmp_path)


def test_an_image_without_the_label_that_others_have_is_named(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for name in ("s/1.jpg", "s/1.cls", "s/2.jpg"):
            add(file, name, b"0")
    with pytest.raises(SourceError, match=r"a\.tar:s/2\.jpg: no label beside it"):
        scan(tmp_path)


@pytest.mark.parametrize(
    ("label", "text"),
    [
        ("cls", ""),
        ("json", '{"label": null}'),
        ("json", '{"label": [1, 2]}'),
        ("json", r'{"label": "\ud800"}'),
        ("json", "[" * 9999),
    ],
)
def test_a_label_that_is_no_class_is_named(tmp_path, label, text):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for name, data in (("1.jpg", "x"), ("1.cls", "0"), ("2.jpg", "x"), (f"2.{label}", text)):
            add(file, name, data.encode())
    with pytest.raises(SourceError, match=rf"a\.tar:2\.{label}: no label in it: "):
        scan(tmp_path)


def test_a_key_that_comes_again_keeps_the_label_beside_it(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for part in (b"0", b"1"):
            for key in ("x", "y"):
                add(file, f"{key}.jpg", part)
                add(file, f"{key}.cls", part)
    assert content(tmp_path) == [("0", b"0"), ("0", b"0"), ("1", b"1"), ("1", b"1")]


def test_the_same_key_twice_in_a_row_is_two_samples(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for part in (b"0", b"1"):
            add(file, "x.cls", part)
            add(file, "x.jpg", part)
    assert content(tmp_path) == [("0", b"0"), ("1", b"1")]


def test_all_images_may_come_before_all_labels(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for name in ("x.jpg", "y.jpg", "x.cls", "y.cls"):
            add(file, name, b"%d" % (name[0] == "y"))
    assert content(tmp_path) == [("0", b"0"), ("1", b"1")]


@pytest.mark.parametrize("again", ["y.jpg", "y.cls"])
def test_a_label_that_could_be_that_of_two_images_is_refused(tmp_path, again):
    with tarfile.open(tmp_path / "a.tar", "w") as file:
        for name in ("y.jpg", "y.cls", "x.jpg", "x.cls", again):
            add(file, name, b"0")
    with pytest.raises(SourceError, match=rf"a\.tar:{again}: this name comes twice"):
        scan(tmp_path)


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_of_two_files_of_one_name_the_last_is_read_as_when_unpacked(tmp_path, suffix):
    archive = tmp_path / f"photos{suffix}"
    files = [("ant/1.jpg", b"old"), ("bee/1.jpg", b"bee"), ("ant/1.jpg", b"new")]
    if suffix == ".tar":
        with tarfile.open(archive, "w") as file:
            for name, data in files:
                add(file, name, data)
    else:
        with zipfile.ZipFile(archive, "w") as file, warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the second file of a name
            for name, data in files:
                file.writestr(name, data)
    for _ in range(2):  # the second listing comes from the cache
        with pytest.warns(SourceWarning, match="1 file has the name of a later one"):
            assert content(archive) == [("ant", b"new"), ("bee", b"bee")]
    shutil.unpack_archive(archive, tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "ant" / "1.jpg").read_bytes() == b"new"


@pytest.mark.parametrize("suffix", [".tar", ".zip"])
def test_folders_named_by_numbers_have_the_classes_and_rows_of_the_folder(tmp_path, suffix):
    root = tmp_path / "photos"
    for name in ("1/z.jpg", "1/b/x.jpg", "1/b-c/x.jpg", "10/x.jpg", "2/x.jpg"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    archives(root)
    archive = root.with_suffix(suffix)
    assert content(archive) == content(root)
    assert scan(archive).classes == scan(root).classes == ("1", "10", "2")
    archive.with_name("classes.txt").write_text("2\n10\n1\n")
    assert content(archive)[0] == ("2", b"2/x.jpg")


@pytest.mark.parametrize("kind", ["gnu", "posix"])
@pytest.mark.skipif(not shutil.which("tar"), reason="needs GNU tar")
def test_a_sparse_member_is_called_so(tmp_path, kind):
    image = tmp_path / "photos" / "a" / "1.jpg"
    image.parent.mkdir(parents=True)
    with image.open("wb") as file:
        file.write(b"begin")
        file.truncate(1 << 20)
    options = [f"--format={kind}", "--sparse", "--hole-detection=raw"]
    written = ["--create", "--file", tmp_path / "a.tar", "--directory", tmp_path / "photos", "a"]
    subprocess.run(["tar", *options, *written], check=True)
    with pytest.raises(SourceError, match=r"a\.tar:a/1\.jpg: stored as a sparse file, .*--sparse"):
        scan(tmp_path / "a.tar")
