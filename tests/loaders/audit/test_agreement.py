"""Decoders that show another image are told from those that agree, by points of their images."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from feedbench.loaders.audit.agreement import agree, sample
from feedbench.loaders.audit.probe import ProbeLimits, probe

SIDE = 640


def gif(path, frame, at=0):
    """Write a GIF of 640 pixels, white but for its frame.

    Args:
        frame: side of the frame.
        at: its distance from the top and from the left.
    """
    image, written = Image.new("P", (frame, frame), 1), io.BytesIO()
    image.putpalette([255, 255, 255, 200, 30, 30] + [0] * 762)
    image.save(written, "GIF")
    data = bytearray(written.getvalue())
    data[6:10] = SIDE.to_bytes(2, "little") * 2  # of the whole image
    size = frame.to_bytes(2, "little") * 2
    place = data.index(b"\x2c" + bytes(4) + size) + 1
    data[place : place + 4] = at.to_bytes(2, "little") * 2
    path.write_bytes(data)
    return path


def same_pixels(path):
    return probe(os.fsencode(path), ProbeLimits())["same_pixels"]


def test_decoders_agree_on_a_gif_whose_frame_covers_all(tmp_path):
    assert same_pixels(gif(tmp_path / "a.gif", SIDE)) is True


@pytest.mark.parametrize(("frame", "at"), [(639, 0), (639, 1), (638, 1), (632, 4)])
def test_a_thin_border_around_the_frame_of_a_gif_is_seen(tmp_path, frame, at):
    """Pillow fills it; TensorFlow gives an image of the size of the frame."""
    assert same_pixels(gif(tmp_path / "a.gif", frame, at)) is False


@pytest.mark.parametrize("side", ["top", "bottom", "left", "right"])
def test_a_border_of_one_pixel_is_seen_on_each_side(side):
    one = np.full((SIDE, 2 * SIDE, 3), 200, np.uint8)
    other = one.copy()
    line = {"top": np.s_[0], "bottom": np.s_[-1], "left": np.s_[:, 0], "right": np.s_[:, -1]}
    other[line[side]] = 0
    assert agree(sample(one), sample(one))
    assert not agree(sample(one), sample(other))


def test_images_of_other_sizes_do_not_agree():
    """Even if their border and what it surrounds have one colour, all else is displaced."""
    one, other = (np.full((side, side, 3), 200, np.uint8) for side in (SIDE, SIDE - 1))
    assert not agree(sample(one), sample(other))


def test_small_images_are_compared_whole():
    one = np.full((1, 50, 3), 200, np.uint8)
    other = one.copy()
    other[0, 25] = 0
    assert not agree(sample(one), sample(other))
