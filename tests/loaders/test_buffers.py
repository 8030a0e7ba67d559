"""Batch memory is aligned, and recycled only when nothing refers to it any more."""

import gc

import numpy as np

from feedbench.loaders.buffers import Buffers


def address(array):
    return array.ctypes.data


def test_batches_are_aligned_and_have_their_shape():
    buffers = Buffers()
    for shape in ((3, 5, 7, 3), (1,), (192, 8, 8, 3)):
        batch = buffers.allocate(shape)
        assert batch.shape == shape
        assert batch.dtype == np.uint8
        assert address(batch) % 64 == 0
        assert batch.flags.writeable


def test_the_memory_of_a_freed_batch_is_recycled():
    buffers = Buffers()
    batch = buffers.allocate((4, 8))
    first = address(batch)
    del batch
    gc.collect()
    assert address(buffers.allocate((4, 8))) == first


def test_a_slice_keeps_the_memory_of_its_batch():
    buffers = Buffers()
    batch = buffers.allocate((4, 8))
    batch[...] = 7
    row = batch[2]
    del batch
    gc.collect()
    buffers.allocate((4, 8))[...] = 0
    assert (row == 7).all()


def test_a_batch_too_large_for_the_freed_memory_gets_new_memory():
    buffers = Buffers()
    buffers.allocate((1, 8))
    gc.collect()
    large = buffers.allocate((1_000, 8))
    large[...] = 5
    assert (large == 5).all()


def test_clear_forgets_freed_memory():
    buffers = Buffers()
    buffers.allocate((4, 8))
    gc.collect()
    assert len(buffers._free) == 1
    buffers.clear()
    assert not buffers._free
