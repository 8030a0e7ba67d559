"""Paints images that compress and decode like photographs, with one object whose shape is a class.

A scene is painted in YCbCr, the colour space of JPEG, from back to front: a wall and a floor,
clutter that occludes them, and one object whose outline, stripes and hue identify its class. Then
come uneven light, 1/f texture whose strength differs between surfaces, and sensor noise.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from PIL import Image

Floats: TypeAlias = NDArray[np.float32]

_NOISE_SIDE = 1024
# Multiples of an irrational, modulo 1, keep any number of classes apart in direction and hue.
_GOLDEN, _SILVER = (5**0.5 - 1) / 2, 2**0.5 - 1


def paint_scene(
    seed: int, index: int, label: int, size: tuple[int, int], texture: float, grain: float
) -> Image.Image:
    """Return a YCbCr image; equal arguments give equal pixels.

    Args:
        seed: of the data set.
        index: of the image in the data set.
        label: class of the object, 0 or more.
        size: width and height, pixels below 1,024.
        texture: standard deviation of the texture, grey levels.
        grain: standard deviation of the sensor noise, grey levels.
    """
    scene = _Scene(default_rng([1, seed, index]), _noise(seed), *size)
    scene.paint_background()
    scene.paint_clutter()
    scene.paint_object(label)
    scene.apply_light(texture, grain)
    return scene.image()


class _Noise(NamedTuple):
    """Noise to crop from, float32 `[side, side]`, mean 0 and standard deviation 1."""

    cloud: Floats
    texture: Floats
    grain: Floats


@cache  # one FFT each per process
def _noise(seed: int) -> _Noise:
    rng = default_rng([2, seed])
    return _Noise(_power_law(rng, 1.7), _power_law(rng, 1.0), _power_law(rng, 0.4))


def _power_law(rng: Generator, exponent: float) -> Floats:
    """Return noise whose amplitude is `1 / frequency ** exponent`, float32 `[side, side]`."""
    white = rng.standard_normal((_NOISE_SIDE, _NOISE_SIDE), np.float32)
    frequency = np.hypot(np.fft.fftfreq(_NOISE_SIDE)[:, None], np.fft.rfftfreq(_NOISE_SIDE))
    frequency[0, 0] = np.inf
    noise = np.fft.irfft2(np.fft.rfft2(white) / frequency**exponent)
    normalized: Floats = (noise / noise.std()).astype(np.float32)
    return normalized


@dataclass(frozen=True)
class _Outline:
    """A disc with lobes.

    Attributes:
        x: centre, pixels from the left.
        y: centre, pixels from the top.
        radius: mean radius, pixels.
        lobes: number of lobes.
        depth: amplitude of the lobes relative to the radius.
        angle: direction of the first lobe, radians.
        softness: width of the edge, pixels.
    """

    x: float
    y: float
    radius: float
    lobes: int
    depth: float
    angle: float
    softness: float = 1


class _Patch(NamedTuple):
    """The part of a scene that an outline covers.

    Attributes:
        rows: rows of the scene.
        columns: columns of the scene.
        y: pixels below the centre, float32 `[rows, 1]`.
        x: pixels to the right of the centre, float32 `[columns]`.
        mask: coverage from 0 to 1, float32 `[rows, columns]`.
    """

    rows: slice
    columns: slice
    y: Floats
    x: Floats
    mask: Floats


class _Scene:
    """Planes of luma, blue and red chroma, and texture strength: float32 `[4, height, width]`.

    The order in which random numbers are drawn is part of the format: changing it changes every
    generated image.
    """

    def __init__(self, rng: Generator, noise: _Noise, width: int, height: int) -> None:
        self._rng = rng
        self._noise = noise
        self._width = width
        self._height = height
        self._side = min(width, height)
        self._planes = np.empty((4, height, width), np.float32)

    def image(self) -> Image.Image:
        """Return the YCbCr image."""
        planes = np.clip(self._planes[:3], 0, 255).astype(np.uint8)
        return Image.merge("YCbCr", [Image.fromarray(plane) for plane in planes])

    def paint_background(self) -> None:
        """Paint a wall with stains, hard or soft, above a floor."""
        rng = self._rng
        sharpness = float(rng.choice([1, 4, 40]))
        stains = self._crop(self._noise.cloud) * sharpness + rng.uniform(-1, 0.5)
        self._planes[:] = self._surface(self._any_hue(), 25)
        _blend(self._planes, np.clip(stains, 0, 1), self._surface(self._any_hue(), 25))
        y = np.arange(self._height, dtype=np.float32)[:, None]
        x = np.arange(self._width, dtype=np.float32)
        edge = self._height * rng.uniform(0.4, 1.2) + x * rng.normal(0, 0.1)
        _blend(self._planes, np.clip(y - edge, 0, 1), self._surface(self._any_hue(), 25))

    def paint_clutter(self) -> None:
        """Paint blobs whose sizes follow a power law, each occluding what is behind it.

        Source: Lee, Mumford and Huang, Occlusion Models for Natural Images (dead leaves).
        """
        rng = self._rng
        for relative_radius in 0.04 * rng.random(16) ** -0.6:
            outline = _Outline(
                x=rng.uniform(0, self._width),
                y=rng.uniform(0, self._height),
                radius=self._side * min(relative_radius, 0.35),
                lobes=int(rng.integers(1, 5)),
                depth=rng.uniform(0, 0.25),
                angle=rng.uniform(0, 2 * np.pi),
            )
            self._paint(self._patch(outline), self._surface(self._any_hue(), 40))

    def paint_object(self, label: int) -> None:
        """Paint the object; its class sets the outline, the stripes' direction, roughly the hue."""
        rng = self._rng
        radius = self._side * rng.uniform(0.27, 0.4)
        x, y = self._width * rng.normal(0.5, 0.05), self._height * rng.normal(0.5, 0.05)
        angle, lobes = rng.normal(-np.pi / 2, 0.2), 2 + label % 4
        outline = _Outline(x, y, radius, lobes, 0.28, angle)
        self._cast_shadow(outline)
        patch = self._patch(outline)
        self._paint(patch, self._striped(label, patch, radius))

    def _cast_shadow(self, outline: _Outline) -> None:
        radius = outline.radius
        shadow = self._patch(
            replace(
                outline,
                x=outline.x + 0.08 * radius,
                y=outline.y + 0.1 * radius,
                softness=0.2 * radius,
            )
        )
        self._planes[0, shadow.rows, shadow.columns] *= 1 - 0.4 * shadow.mask

    def _striped(self, label: int, patch: _Patch, radius: float) -> Floats:
        """Return the object's surface, float32 `[4, rows, columns]`, darker towards the bottom."""
        rng = self._rng
        angle = np.pi * label * _GOLDEN + rng.normal(0, 0.1)
        across = patch.x * np.float32(np.cos(angle)) + patch.y * np.float32(np.sin(angle))
        frequency = 2 * np.pi / (radius * rng.uniform(0.4, 0.55))
        stripes = np.clip(3 * np.sin(across * frequency + rng.uniform(0, 2 * np.pi)) + 0.5, 0, 1)
        first = self._surface(label * _SILVER + rng.normal(0, 0.12), 50)
        second = self._surface(self._any_hue(), 35)
        second[0] = first[0] + rng.uniform(25, 65) * (1 if first[0] < 128 else -1)
        surface: Floats = first + stripes * (second - first)
        surface[0] -= patch.y * np.float32(30 / radius)
        return surface

    def apply_light(self, texture: float, grain: float) -> None:
        """Apply uneven light, then texture and grain, standard deviations in grey levels."""
        luma, blue, red, strength = self._planes
        cloud, tint = self._crop(self._noise.cloud), self._crop(self._noise.cloud)
        luma *= 1 + np.float32(0.12) * cloud
        luma += strength * self._crop(self._noise.texture) * np.float32(texture)
        luma += self._crop(self._noise.grain) * np.float32(grain)
        blue += 4 * tint
        red -= 4 * tint

    def _crop(self, noise: Floats) -> Floats:
        """Return a random crop of some noise, randomly flipped, float32 `[height, width]`."""
        top = self._rng.integers(0, len(noise) - self._height)
        left = self._rng.integers(0, len(noise) - self._width)
        down, right = self._rng.choice([-1, 1], 2)
        return noise[top : top + self._height, left : left + self._width][::down, ::right]

    def _any_hue(self) -> float:
        """Return a hue in turns: mostly of wood, skin and stone, sometimes of sky or leaves."""
        kind = self._rng.choice(3, p=[0.6, 0.25, 0.15])
        return float(self._rng.normal((0.36, 0.88, 0.6)[kind], 0.06))

    def _surface(self, hue: float, max_chroma: float) -> Floats:
        """Return luma, blue, red and texture strength of a plain surface, float32 `[4, 1, 1]`."""
        rng = self._rng
        chroma, angle = max_chroma * rng.uniform(0.2, 1), 2 * np.pi * hue
        values = (
            rng.uniform(45, 210),
            128 + chroma * np.cos(angle),
            128 + chroma * np.sin(angle),
            2.4 * rng.random() ** 3,
        )
        return np.array(values, np.float32)[:, None, None]

    def _patch(self, outline: _Outline) -> _Patch:
        """Return the part of an outline that lies in the scene."""
        x, y, softness = outline.x, outline.y, outline.softness
        reach = outline.radius * (1 + outline.depth) + softness
        rows = slice(max(0, int(y - reach)), max(0, min(self._height, int(y + reach) + 1)))
        columns = slice(max(0, int(x - reach)), max(0, min(self._width, int(x + reach) + 1)))
        down = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(y)
        right = np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(x)
        direction = np.arctan2(down, right) - np.float32(outline.angle)
        edge = 1 + np.float32(outline.depth) * np.cos(outline.lobes * direction)
        inside = np.float32(outline.radius) * edge - np.hypot(down, right)
        mask = np.clip(inside / np.float32(softness) + 0.5, 0, 1)
        return _Patch(rows, columns, down, right, mask)

    def _paint(self, patch: _Patch, surface: Floats) -> None:
        _blend(self._planes[:, patch.rows, patch.columns], patch.mask, surface)


def _blend(planes: Floats, mask: Floats, surface: Floats) -> None:
    """Blend a surface into planes, in place: fully where the mask is 1."""
    planes += mask * (surface - planes)
