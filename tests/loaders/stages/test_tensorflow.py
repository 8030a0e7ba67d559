"""Pictures are laid out in one array for TensorFlow's stages."""

import numpy as np

from feedbench.loaders.stages.tensorflow import side_by_side


def test_pictures_are_aligned_so_that_a_slice_needs_no_copy():
    random = np.random.default_rng(0)
    shapes = [(5, 7, 3), (64, 33, 3), (1, 1, 3)]
    pictures = [random.integers(0, 255, shape, np.uint8) for shape in shapes]
    places, array = side_by_side(pictures)
    for pixels, (begin, end, *shape) in zip(pictures, places.tolist(), strict=True):
        assert begin % 64 == 0
        assert np.array_equal(array[begin:end].reshape(shape), pixels)
