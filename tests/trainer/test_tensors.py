"""Aligned NumPy memory becomes a tensor without a copy; all other memory is left to TensorFlow."""

import gc
import weakref

import numpy as np
import pytest

from feedbench.loaders.buffers import Buffers
from feedbench.trainer import as_tensor


@pytest.mark.parametrize("kind", ["uint8", "float32"])
def test_aligned_memory_is_shared_and_kept(kind):
    buffers = Buffers()
    images = buffers.allocate((2, 8, 8, 3)) if kind == "uint8" else buffers.floats((2, 8, 8, 3))
    images[...] = 7
    assert images.dtype == kind
    tensor = as_tensor(images)
    assert tensor.dtype == kind
    assert tensor.shape == (2, 8, 8, 3)
    assert np.shares_memory(np.asarray(tensor), images)
    gone = weakref.ref(images)
    del images
    gc.collect()
    buffers.allocate((2, 8, 8, 3))[...] = 9
    assert (np.asarray(tensor) == 7).all()
    del tensor
    gc.collect()
    assert gone() is None


def test_other_memory_is_left_as_it_is():
    aligned = Buffers().allocate((3, 64))
    read_only = Buffers().allocate((3, 64))
    read_only.flags.writeable = False
    for images in (aligned[:, :3], aligned.reshape(-1)[1:], read_only, aligned[:0], [1, 2]):
        assert as_tensor(images) is images
    tensor = as_tensor(aligned)
    assert as_tensor(tensor) is tensor
