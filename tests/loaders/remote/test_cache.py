"""The local cache of objects: its limit, what it throws away, and damage."""

import os
import time
from multiprocessing import get_context

import pytest

from feedbench.loaders.errors import SettingsError
from feedbench.loaders.files import PART
from feedbench.loaders.remote.cache import ObjectCache, object_cache


def bytes_in(folder):
    paths = (path for path in folder.rglob("*") if path.is_file() and path.name != "used")
    return sum(path.stat().st_size for path in paths)


@pytest.fixture
def cache(tmp_path):
    return ObjectCache(tmp_path, 10_000)


def test_an_entry_is_found_by_its_key_alone(cache):
    cache.put(b"s3://a/b\0version 1", b"one")
    assert cache.get(b"s3://a/b\0version 1") == b"one"
    assert cache.get(b"s3://a/b\0version 2") is None
    cache.drop(b"s3://a/b\0version 1")
    assert cache.get(b"s3://a/b\0version 1") is None


def test_the_entries_used_longest_ago_go_first(cache):
    for number in range(9):
        cache.put(b"%d" % number, bytes(1000))
        os.utime(cache._path(b"%d" % number), (1000.0 + number,) * 2)
    assert cache.get(b"0") is not None  # which is used again now
    cache.put(b"new", bytes(1000))
    assert cache.get(b"0") is not None
    assert cache.get(b"1") is None
    assert cache.get(b"new") is not None
    assert bytes_in(cache.folder) <= cache.limit


def test_what_is_larger_than_the_limit_is_not_kept(cache):
    cache.put(b"small", b"small")
    cache.put(b"large", bytes(20_000))
    assert cache.get(b"large") is None
    assert cache.get(b"small") == b"small"


@pytest.mark.parametrize("damage", [lambda data: data[:-6], lambda data: b"x" + data[1:]])
def test_a_damaged_entry_is_not_found(cache, damage):
    cache.put(b"key", bytes(range(100)))
    path = cache._path(b"key")
    path.write_bytes(damage(path.read_bytes()))
    assert cache.get(b"key") is None


def test_the_part_of_a_killed_process_is_removed_in_the_end(cache):
    cache.put(b"key", bytes(5000))
    part = cache._path(b"key").with_name(f"{PART}123-4.abc")
    part.write_bytes(bytes(3000))
    os.utime(part, (time.time() - 7200,) * 2)
    cache.put(b"other", bytes(5000))
    assert not part.exists()


def test_a_wrong_count_after_a_kill_is_corrected(cache):
    cache.put(b"key", bytes(1000))
    (cache.folder / "used").write_bytes((9_900).to_bytes(8, "little"))
    cache.put(b"other", bytes(1000))
    assert cache.get(b"key") is not None
    assert cache.get(b"other") is not None


def _fill(folder, limit, first):
    cache = ObjectCache(folder, limit)
    for number in range(first, first + 200):
        cache.put(b"%d" % number, bytes(500))
        data = cache.get(b"%d" % (number - 7))
        assert data in (None, bytes(500))
        with cache._alone():  # no other process changes the folder meanwhile
            assert bytes_in(folder) <= limit


def test_several_processes_keep_to_the_limit(cache):
    context = get_context("fork")
    arguments = [(cache.folder, cache.limit, 1000 * number) for number in range(3)]
    processes = [context.Process(target=_fill, args=one) for one in arguments]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0, 0]


def test_a_limit_that_is_no_number_is_one_line(monkeypatch):
    monkeypatch.setenv("FEEDBENCH_OBJECT_CACHE_GB", "ten")
    with pytest.raises(SettingsError, match=r"^FEEDBENCH_OBJECT_CACHE_GB must be a number of giga"):
        object_cache()
