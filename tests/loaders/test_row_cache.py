"""Batches taken from the cache stay what they are, though their memory is used again."""

import numpy as np

from feedbench.loaders.row_cache import RowCache


def filled() -> RowCache:
    cache = RowCache.in_memory(10, 4)
    cache.put(np.arange(10), np.arange(10, dtype=np.uint8)[:, None, None, None])
    return cache


def test_a_batch_or_a_slice_of_it_is_never_overwritten():
    cache = filled()
    kept = cache.take(np.array([1, 2]))
    part = cache.take(np.array([3, 4]))[1:, :2]
    row = cache.take(np.array([5, 6])).reshape(2, -1)[0]
    for _ in range(20):
        cache.take(np.array([8, 9]))
    assert (kept[0] == 1).all()
    assert (kept[1] == 2).all()
    assert (part == 4).all()
    assert (row == 5).all()


def test_memory_of_a_freed_batch_is_recycled():
    cache = filled()
    addresses = {cache.take(np.array([1, 2])).ctypes.data for _ in range(20)}
    assert len(addresses) == 1
    assert addresses.pop() % 64 == 0
