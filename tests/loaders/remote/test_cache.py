"""The local cache of objects: its limit, what it throws away, and damage."""

import os
import signal
import time
from contextlib import suppress
from itertools import count
from multiprocessing import get_context

import pytest

from feedbench.loaders.errors import SettingsError
from feedbench.loaders.remote.cache import _SHARE, ObjectCache, object_cache
from feedbench.replacing import PART


def bytes_in(folder):
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


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


def _fill(folder, limit, first):
    cache = ObjectCache(folder, limit)
    for number in range(first, first + 300):
        cache.put(b"%d" % number, bytes(500))
        assert cache.get(b"%d" % (number - 7)) in (None, bytes(500))


def test_several_processes_keep_to_the_limit(tmp_path):
    limit, writers = 50_000, 3
    context = get_context("fork")
    fills = [
        context.Process(target=_fill, args=(tmp_path, limit, 1000 * n)) for n in range(writers)
    ]
    for process in fills:
        process.start()
    largest = 0
    while any(process.is_alive() for process in fills):
        with suppress(FileNotFoundError):
            largest = max(largest, bytes_in(tmp_path))
    largest = max(largest, bytes_in(tmp_path))
    assert [process.exitcode for process in fills] == [0, 0, 0]
    assert limit / 2 < largest <= limit * (1 + 2 * _SHARE) + writers * 504


def _write_for_ever(folder, limit):
    cache = ObjectCache(folder, limit)
    for number in count():
        cache.put(b"%d" % (number % 100), bytes(100_000))


def test_a_process_that_is_stopped_while_it_writes_holds_up_no_other(tmp_path):
    writer = get_context("fork").Process(target=_write_for_ever, args=(tmp_path, 10**8))
    writer.start()
    cache = ObjectCache(tmp_path, 10**8)
    try:
        while not any(tmp_path.rglob("??/*")):
            assert writer.is_alive()
            time.sleep(0.01)
        for number in range(20):
            time.sleep(0.005 + 0.0007 * number)
            os.kill(writer.pid, signal.SIGSTOP)
            cache.put(b"ours", b"bytes")
            cache.drop(b"ours")
            os.kill(writer.pid, signal.SIGCONT)
    finally:
        writer.kill()
        writer.join()


def test_a_limit_that_is_no_number_is_one_line(monkeypatch):
    monkeypatch.setenv("FEEDBENCH_OBJECT_CACHE_GB", "ten")
    with pytest.raises(SettingsError, match=r"^FEEDBENCH_OBJECT_CACHE_GB must be a number of giga"):
        object_cache()
