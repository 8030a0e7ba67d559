"""Scenes depend on seed and index alone, and show their class."""

import numpy as np

from feedbench.bench.data.scenes import paint_scene


def painted(seed: int = 0, index: int = 0, label: int = 0) -> np.ndarray:
    return np.asarray(paint_scene(seed, index, label, (64, 48), texture=20.0, grain=2.0))


def test_a_scene_has_the_requested_size_and_colour_space() -> None:
    image = paint_scene(0, 0, 0, (64, 48), texture=20.0, grain=2.0)
    assert image.size == (64, 48)
    assert image.mode == "YCbCr"


def test_equal_arguments_give_equal_pixels() -> None:
    assert np.array_equal(painted(), painted())


def test_seed_index_and_class_each_change_the_pixels() -> None:
    for other in (painted(seed=1), painted(index=1), painted(label=1)):
        assert not np.array_equal(painted(), other)


def test_texture_changes_luma_alone() -> None:
    smooth = np.asarray(paint_scene(0, 0, 0, (64, 48), texture=0.0, grain=0.0))
    rough = np.asarray(paint_scene(0, 0, 0, (64, 48), texture=40.0, grain=0.0))
    assert not np.array_equal(smooth[..., 0], rough[..., 0])
    assert np.array_equal(smooth[..., 1:], rough[..., 1:])
