"""Addresses of objects, and sources in a storage that lies in this process."""

import fnmatch
import json
import os
from datetime import date
from pathlib import Path

import pytest

from feedbench.bench.analysis.best import Best
from feedbench.bench.commands.options import list_images
from feedbench.bench.errors import PlanError
from feedbench.bench.export.module import exported, module_text
from feedbench.bench.trials.cache_state import check_warm
from feedbench.loaders import LoaderError, read_file, scan
from feedbench.loaders.address import Version, address, extent_of, file_of, name_of, version_of
from feedbench.loaders.errors import SourceError, SourceWarning
from feedbench.loaders.remote import store
from feedbench.loaders.remote.cache import object_cache
from feedbench.loaders.remote.gs import GoogleStorage
from feedbench.loaders.remote.path import RemotePath, source_path
from feedbench.loaders.remote.s3 import S3
from feedbench.loaders.remote.store import Listed, Package, Page, changed

VERSION = Version(123, 5 * 10**9, '"a,b"')


class Memory:
    """A storage of one bucket in memory, with pages of three keys."""

    def __init__(self, objects):
        self.objects = objects
        self.reads = []

    def pages(self, bucket, prefix, *, flat, is_cancelled=lambda: False):
        keys = sorted(key for key in self.objects if key.startswith(prefix))
        names = [key[len(prefix) :] for key in keys]
        folders = sorted({name.split("/")[0] for name in names if "/" in name and not flat})
        files = [name for name in names if flat or "/" not in name]
        listed = [Listed(name, self.version(bucket, prefix + name)) for name in files]
        yield Page([], folders)
        for begin in range(0, len(listed), 3):
            yield Page(listed[begin : begin + 3], [])

    def version(self, bucket, key):
        data = self.objects.get(key)
        return None if data is None else Version(len(data), 10**9, str(hash(data)))

    def read(self, bucket, key, version, span=None, is_cancelled=lambda: False):
        self.reads.append(key)
        if version != self.version(bucket, key):
            raise changed()
        begin, length = span or (0, len(self.objects[key]))
        return self.objects[key][begin : begin + length]


@pytest.fixture
def memory(monkeypatch, tmp_path):
    monkeypatch.setenv("FEEDBENCH_OBJECT_CACHE", str(tmp_path / "objects"))

    def put(folder: Path, prefix: str = "data/") -> Memory:
        files = [path for path in folder.rglob("*") if path.is_file()]
        made = Memory({f"{prefix}{path.relative_to(folder)}": path.read_bytes() for path in files})
        monkeypatch.setattr(store, "store_of", lambda scheme: made)
        monkeypatch.setattr("feedbench.loaders.remote.path.store_of", lambda scheme: made)
        return made

    return put


def test_an_address_says_the_version_that_was_listed():
    whole = address(b"s3://bucket/a.jpg", None, VERSION.encoded())
    assert version_of(whole) == VERSION
    assert extent_of(whole) is None
    assert file_of(whole) == name_of(whole) == b"s3://bucket/a.jpg"
    part = address(b"s3://bucket/a.tar:1.jpg", b"6,512,100", VERSION.encoded())
    assert extent_of(part)[:3] == (6, 512, 100)
    assert file_of(part) == b"s3://bucket/a.tar"
    assert version_of(part) == VERSION
    assert version_of(b"/a.tar:1.jpg\x006,512,100") is None


def test_a_path_keeps_its_two_slashes():
    path = source_path("s3://bucket/a/b/")
    assert isinstance(path, RemotePath)
    assert str(path / "c.tar") == "s3://bucket/a/b/c.tar"
    assert str((path / "c.tar").parent) == "s3://bucket/a/b"
    assert str((path / "c.tar").relative_to(path)) == "c.tar"
    assert os.fsencode(path) == b"s3://bucket/a/b"
    assert source_path(str(Path(str(path)))) == path  # after Path has joined the slashes
    assert type(source_path("s3")) is type(Path())


@pytest.mark.parametrize("scheme", ["s3", "gs", "S3"])
@pytest.mark.parametrize("secret", ["top-secret", "with/a/slash+top-secret"])
def test_credentials_in_an_address_are_refused_and_not_shown(scheme, secret, capsys):
    for read in (scan, lambda source: list_images(source, None)):
        with pytest.raises(SourceError, match=r"must not hold credentials") as caught:
            read(f"{scheme}://AKID:{secret}@bucket/prefix")
        assert "AKID" not in str(caught.value)
        assert "top-secret" not in str(caught.value)
    assert "top-secret" not in "".join(capsys.readouterr())


def test_a_missing_package_is_named_with_the_command_that_installs_it(monkeypatch):
    monkeypatch.setitem(store.PACKAGES, "s3", Package("s3", ("no_such_package",)))
    with pytest.raises(LoaderError, match=r"^s3://: .*pip install 'feedbench\[s3\]'$"):
        scan("s3://bucket/prefix")


def test_folders_of_classes_are_listed_as_those_on_a_disk(splits_folder, memory, tmp_path):
    memory(splits_folder)
    listed = []
    remote = scan("s3://bucket/data", on_listed=listed.append)
    local = scan(splits_folder)
    assert remote.layout == local.layout
    assert remote.classes == local.classes
    assert remote.table.drop_columns("version") == local.table
    assert sum(listed) == len(remote)
    assert read_file(remote.address(3)) == read_file(local.address(3))


def test_the_order_is_that_of_folders_in_folders(memory, tmp_path):
    for name in ("a/x/1.jpg", "a/2.jpg", "a/z.jpg", "a/.hidden", "b/3.jpg", "b/Thumbs.db"):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    memory(tmp_path / "photos", "deep/er/")
    assert scan("gs://bucket/deep/er").table["path"] == scan(tmp_path / "photos").table["path"]


def test_objects_behind_two_slashes_are_not_left_out_without_a_word(splits_folder, memory):
    made = memory(splits_folder)
    made.objects["data//cat/1.jpg"] = b"lost"
    with pytest.warns(SourceWarning, match=r"^s3://bucket/data//: the objects behind two slashes"):
        assert len(scan("s3://bucket/data")) == len(scan(splits_folder))


def test_an_image_is_read_once_and_then_from_the_cache(splits_folder, memory):
    made = memory(splits_folder)
    manifest = scan("s3://bucket/data")
    first = read_file(manifest.address(0))
    made.reads.clear()
    assert read_file(manifest.address(0)) == first
    assert not made.reads


def test_a_full_disk_costs_only_the_cache(splits_folder, memory, monkeypatch):
    memory(splits_folder)
    manifest = scan("s3://bucket/data")
    folder = object_cache().folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file where the folder should be")
    assert read_file(manifest.address(0)) == read_file(scan(splits_folder).address(0))


def test_a_replaced_object_is_an_error_until_it_is_listed_again(splits_folder, memory):
    made = memory(splits_folder)
    manifest = scan("s3://bucket/data")
    key = manifest.path(0).removeprefix("s3://bucket/")
    made.objects[key] = b"other"
    with pytest.raises(OSError, match="was replaced after it was listed"):
        read_file(manifest.address(0))
    assert read_file(scan("s3://bucket/data").address(0)) == b"other"


def test_shards_match_a_pattern(memory, tmp_path):
    for name in ("train-1.tar", "train-2.tar", "other.tar", "inner/train-3.tar"):
        (tmp_path / "shards" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "shards" / name).write_bytes(b"")
    memory(tmp_path / "shards")
    found = sorted(map(str, RemotePath("s3://bucket/data/train-*.tar").matches()))
    assert found == fnmatch.filter(found, "s3://bucket/data/train-[12].tar")
    assert len(found) == 2


def test_objects_that_do_not_fit_into_their_cache_cannot_be_warm(
    splits_folder, memory, monkeypatch
):
    memory(splits_folder)
    manifest = scan("s3://bucket/data")
    check_warm(manifest)
    monkeypatch.setenv("FEEDBENCH_OBJECT_CACHE_GB", "0.00001")
    with pytest.raises(PlanError, match=r"its images have .* the local cache holds 10 kB; set"):
        check_warm(manifest)
    check_warm(scan(splits_folder))  # files have no such cache


def test_a_run_with_cold_objects_fetches_what_is_cached_too(splits_folder, memory, monkeypatch):
    made = memory(splits_folder)
    manifest = scan("s3://bucket/data")
    first = read_file(manifest.address(0))
    monkeypatch.setenv("FEEDBENCH_ALWAYS_FETCH", "1")
    made.reads.clear()
    assert read_file(manifest.address(0)) == first
    assert len(made.reads) == 1


def test_exported_code_for_objects_opens_a_loader(splits_folder, memory):
    memory(splits_folder)
    best = Best(loader="tf_data", settings={}, spec={"batch_size": 8, "image_size": 32})
    remote, local = (
        module_text(exported("tf_data", best), scan(source), "pipeline.py", date(2026, 1, 2))
        for source in ("s3://bucket/data", splits_folder)
    )
    assert "open_loader(LOADER, manifest" in remote
    assert "open_loader" not in local


@pytest.mark.parametrize("store", [S3, GoogleStorage])
def test_a_listing_that_repeats_a_page_ends_with_an_error(store, monkeypatch):
    page = {"Contents": [], "NextContinuationToken": "a", "items": [], "nextPageToken": "a"}
    monkeypatch.setattr(S3, "_call", lambda *words: page)
    monkeypatch.setattr(GoogleStorage, "_read", lambda *words, **more: json.dumps(page))
    with pytest.raises(OSError, match="the same page of the listing again and again"):
        list(store().pages("bucket", "prefix/", flat=True))
