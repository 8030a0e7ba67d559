"""Images are decoded once, then copied from a store."""

import numpy as np
import pytest

from feedbench.loaders import ImageError, SettingsError
from feedbench.loaders.cached_source import CachedSource, MemoryStore
from feedbench.loaders.pool.compiled import compiled_module

SIDE = 4


class CountingSource:
    """Images that hold their row's number; counts how often each is decoded."""

    def __init__(self):
        self.loads = []
        self.unreadable = set()

    def find(self, rows):
        return [f"item {row}" for row in rows.tolist()]

    def load(self, row, item, into):
        assert item == f"item {row}"
        self.loads.append(row)
        if row in self.unreadable:
            raise ImageError("file", row, "a decoder", "broken")
        into[...] = row


def read(source, rows):
    images = np.zeros((len(rows), SIDE, SIDE, 3), np.uint8)
    items = source.find(np.array(rows))
    for row, item, image in zip(rows, items, images, strict=True):
        source.load(row, item, image)
    return images[:, 0, 0, 0].tolist()


def test_each_image_is_decoded_once():
    source = CountingSource()
    cached = CachedSource(source, MemoryStore(10, SIDE))
    assert read(cached, [3, 1, 4]) == [3, 1, 4]
    assert read(cached, [4, 5, 3]) == [4, 5, 3]
    assert source.loads == [3, 1, 4, 5]


def test_stored_rows_are_not_looked_up():
    cached = CachedSource(CountingSource(), MemoryStore(10, SIDE))
    read(cached, [3, 1])
    assert cached.find(np.array([1, 3])) == [None, None]
    assert cached.find(np.array([1, 2])) == ["item 1", "item 2"]


@pytest.mark.skipif(compiled_module() is None, reason="not compiled")
def test_only_a_batch_that_is_stored_is_left_to_the_compiled_module():
    store = MemoryStore(10, SIDE)
    cached, rows = CachedSource(CountingSource(), store), np.array([3, 1, 4])
    assert cached.work(cached.find(rows)) is None
    read(cached, rows.tolist())
    assert cached.work(cached.find(rows)) is not None
    store.close()
    assert cached.work(cached.find(rows)) is None


def test_an_image_that_fails_is_not_stored():
    source = CountingSource()
    cached = CachedSource(source, MemoryStore(10, SIDE))
    source.unreadable = {2}
    with pytest.raises(ImageError):
        read(cached, [2])
    source.unreadable = set()
    assert read(cached, [2]) == [2]


def test_a_store_may_be_empty():
    store = MemoryStore(0, SIDE)
    assert store.holds(np.empty(0, np.int64))
    store.close()


def test_a_store_that_does_not_fit_into_memory_is_refused():
    with pytest.raises(SettingsError, match="are available; use cache='disk'"):
        MemoryStore(10**9, 1_000)
