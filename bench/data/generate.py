"""Generated photographs in class folders: a sample to measure on where no real one is at hand.

A picture is painted in YCbCr, the space that JPEG stores: a ground, clutter that hides what lies
behind it, one object whose outline, stripes and palette tell its class, and 1/f texture whose
strength differs from surface to surface.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from functools import cache
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.random import Generator, default_rng
from numpy.typing import NDArray
from PIL import Image

from feedbench.bench.errors import RecordError, SampleError
from feedbench.bench.files import replacing
from feedbench.bench.signals import interrupts_deferred

Preset = Literal["imagenet", "web", "mixed"]
Format = Literal["JPEG", "PNG", "WEBP"]
# The names in `feedbench.loaders.manifest.SPLITS`; importing it would cost each worker 0.4 s.
SPLITS = ("train", "validation", "test")

Floats: TypeAlias = NDArray[np.float32]
Totals: TypeAlias = NDArray[np.int64]

_SUFFIXES: dict[Format, str] = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_CHUNK_IMAGES = 8
_FIELD_SIDE = 1024
# Multiples of an irrational, modulo 1, keep any number of classes apart in direction and hue.
_GOLDEN, _SILVER = (5**0.5 - 1) / 2, 2**0.5 - 1
# Steps of an additive recurrence that fills four dimensions evenly.
# Source: M. Roberts, The Unreasonable Effectiveness of Quasirandom Sequences (R4).
_STEPS = 1.1673039782614187 ** -np.arange(1.0, 5.0)


@dataclass(frozen=True)
class Sample:
    """What was written.

    Attributes:
        images: how many files.
        classes: how many classes.
        bytes: of all files.
        mean_width: pixels.
        mean_height: pixels.
        mean_bytes: of a file.
        bits_per_pixel: bits of all files over pixels of all images.
    """

    images: int
    classes: int
    bytes: int
    mean_width: float
    mean_height: float
    mean_bytes: float
    bits_per_pixel: float


@dataclass(frozen=True)
class Recipe:
    """What makes the files of a preset as large, and as slow to decode, as real ones.

    Attributes:
        long_side: mean pixels of the longer side.
        short_side: mean pixels of the shorter side.
        landscape: share of images that are wider than high.
        texture: least and greatest deviation of texture, in grey levels.
        grain: deviation of the sensor's noise, in grey levels.
        quality: of JPEG and WebP, 1 to 100.
        sampling: chroma subsampling of JPEG.
        formats: file formats, taken in turn by the images of a class.
    """

    long_side: int
    short_side: int
    landscape: float
    texture: tuple[float, float]
    grain: float
    quality: int
    sampling: Literal["4:2:0", "4:4:4"] = "4:2:0"
    formats: tuple[Format, ...] = ("JPEG",)

    def size(self, turned: float, longer: float, shorter: float) -> tuple[int, int]:
        """Width and height in pixels from three numbers in [0, 1): sides vary by 12 %."""
        long_side = round(self.long_side * (0.88 + 0.24 * longer))
        short_side = round(self.short_side * (0.88 + 0.24 * shorter))
        return (long_side, short_side) if turned < self.landscape else (short_side, long_side)


# Tuned until the bytes were right and libjpeg-turbo's decoding time was that of clothing
# photographs 400 pixels wide ("web"), and 2.14 times it ("imagenet": 1.35 against 0.63 ms).
# Of equal bytes, chroma in full costs a decoder up to a tenth more time than a quarter of it.
_WEB = Recipe(537, 402, 0.13, texture=(4, 55), grain=2, quality=66)
RECIPES: dict[Preset, Recipe] = {
    "imagenet": Recipe(497, 372, 0.77, texture=(6, 48), grain=3, quality=96, sampling="4:4:4"),
    "web": _WEB,
    "mixed": replace(_WEB, formats=("JPEG",) * 8 + ("PNG", "WEBP")),
}


@dataclass(frozen=True)
class _Job:
    """Everything that decides the bytes of the files, and where they go."""

    out: Path
    images: int
    recipe: Recipe
    seed: int
    classes: int

    def format(self, index: int) -> Format:
        """File format of an image: each class begins elsewhere in the cycle."""
        turn = index // self.classes + index % self.classes
        return self.recipe.formats[turn % len(self.recipe.formats)]

    def folder(self, split: str, label: int) -> Path:
        """Where the images of a class in a split lie."""
        return self.out / split / f"class_{label:0{len(str(self.classes - 1))}d}"

    def path(self, index: int) -> Path:
        """File of an image: the last tenth of its class is for the test, that before validates."""
        place, label = divmod(index, self.classes)
        of_class = len(range(label, self.images, self.classes))
        held_out = max(1, round(of_class / 10))
        split = SPLITS[2 - min(2, (of_class - 1 - place) // held_out)]
        name = f"{index:0{len(str(self.images - 1))}d}.{_SUFFIXES[self.format(index)]}"
        return self.folder(split, label) / name


def ignore(images: int) -> None:
    """Report no progress."""


def make_data(
    out: Path,
    *,
    images: int,
    preset: Preset,
    seed: int,
    classes: int = 10,
    advance: Callable[[int], None] = ignore,
) -> Sample:
    """Write generated photographs to `out/{train,validation,test}/<class>/<number>.<suffix>`.

    The same arguments give the same bytes, however many cores there are.

    Args:
        out: directory to make; it may exist if it is empty.
        images: in all splits together, 80, 10 and 10 % of each class.
        preset: whose sizes, bytes and decoding time the files have.
        seed: at least 0.
        classes: images take them in turn.
        advance: called with the number of images finished since the last call.

    Raises:
        SampleError: an argument is out of range, or `out` is not empty or cannot be written.
    """
    job = _Job(out, images, _recipe(preset), seed, classes)
    _check(job)
    _claim(job)
    try:
        totals = _write(job, advance)
    except (OSError, RecordError) as error:
        raise SampleError(
            f"{out}: writing stopped; remove the directory before the next try: {error}"
        ) from error
    except BrokenProcessPool as error:
        raise SampleError(
            f"{out}: a worker process was killed, perhaps for want of memory; "
            "remove the directory and start again"
        ) from error
    return _sample(classes, totals)


def _recipe(preset: Preset) -> Recipe:
    try:
        return RECIPES[preset]
    except KeyError:
        raise SampleError(f"preset must be one of {', '.join(RECIPES)}, got {preset!r}") from None


def _check(job: _Job) -> None:
    if job.classes < 1:
        raise SampleError(f"classes must be at least 1, got {job.classes}; ask for more classes")
    if job.seed < 0:
        raise SampleError(f"seed must be at least 0, got {job.seed}; drop the sign")
    least = len(SPLITS) * job.classes
    if job.images < least:
        raise SampleError(
            f"images must be at least {least} so that each of {job.classes} classes "
            f"is in each split, got {job.images}; ask for more images"
        )


def _claim(job: _Job) -> None:
    """Make the folders, unless there is anything to overwrite."""
    try:
        job.out.mkdir(parents=True, exist_ok=True)
        if any(job.out.iterdir()):
            raise SampleError(f"{job.out}: the directory is not empty; name a new one")
        for split in SPLITS:
            for label in range(job.classes):
                job.folder(split, label).mkdir(parents=True)
    except OSError as error:
        raise SampleError(
            f"{job.out}: the directory cannot be made ({error.strerror}); "
            "name one that you may write to"
        ) from error


def _sample(classes: int, totals: Totals) -> Sample:
    images, size, width, height, pixels = totals.tolist()
    return Sample(
        images, classes, size, width / images, height / images, size / images, 8 * size / pixels
    )


# --- processes ---------------------------------------------------------------------------------


def _write(job: _Job, advance: Callable[[int], None]) -> Totals:
    """Make all images on all cores; whatever ends it early cancels what has not begun."""
    chunks = [
        range(begin, min(begin + _CHUNK_IMAGES, job.images))
        for begin in range(0, job.images, _CHUNK_IMAGES)
    ]
    workers = min(len(os.sched_getaffinity(0)), len(chunks))
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_follow_parent)
    totals = np.zeros(5, np.int64)
    try:
        with interrupts_deferred():
            futures = [pool.submit(_make_chunk, job, chunk) for chunk in chunks]
        for future in as_completed(futures):
            made = future.result()
            totals += made
            advance(int(made[0]))
    finally:
        pool.shutdown(cancel_futures=True)
    return totals


def _follow_parent() -> None:
    """End this worker with its parent: a killed parent cannot tell it to."""
    Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _make_chunk(job: _Job, indices: range) -> Totals:
    """Write some images: their number, bytes, widths, heights and pixels, int64 `[5]`."""
    totals = np.zeros(5, np.int64)
    for index in indices:
        size, width, height = _make_image(job, index)
        totals += (1, size, width, height, width * height)
    return totals


def _make_image(job: _Job, index: int) -> tuple[int, int, int]:
    """Write one image: its bytes, width and height."""
    recipe = job.recipe
    # Spread evenly by index, sizes and textures have the wanted means even in a small sample.
    turned, longer, shorter, detail = (default_rng([3, job.seed]).random(4) + index * _STEPS) % 1
    width, height = recipe.size(turned, longer, shorter)
    least, greatest = recipe.texture
    scene = _Scene(default_rng([1, job.seed, index]), _fields(job.seed), width, height)
    scene.fill(index % job.classes, least * (greatest / least) ** detail, recipe.grain)
    path = job.path(index)
    data = _encoded(scene.image(), recipe, job.format(index))
    with replacing(path) as beside:
        beside.write_bytes(data)
    return len(data), width, height


def _encoded(image: Image.Image, recipe: Recipe, file_format: Format) -> bytes:
    file = io.BytesIO()
    match file_format:
        case "JPEG":
            image.save(file, "JPEG", quality=recipe.quality, subsampling=recipe.sampling)
        case "PNG":
            image.convert("RGB").save(file, "PNG")
        case "WEBP":
            image.convert("RGB").save(file, "WEBP", quality=recipe.quality)
    return file.getvalue()


# --- pictures ----------------------------------------------------------------------------------


class _Fields(NamedTuple):
    """Noise to crop, float32 `[side, side]` of mean 0 and deviation 1; one FFT a process each."""

    cloud: Floats
    texture: Floats
    grain: Floats


@cache
def _fields(seed: int) -> _Fields:
    rng = default_rng([2, seed])
    return _Fields(_field(rng, 1.7), _field(rng, 1.0), _field(rng, 0.4))


def _field(rng: Generator, exponent: float) -> Floats:
    """Noise whose amplitude falls as `1 / frequency ** exponent`, float32 `[side, side]`."""
    white = rng.standard_normal((_FIELD_SIDE, _FIELD_SIDE), np.float32)
    frequency = np.hypot(np.fft.fftfreq(_FIELD_SIDE)[:, None], np.fft.rfftfreq(_FIELD_SIDE))
    frequency[0, 0] = np.inf
    field = np.fft.irfft2(np.fft.rfft2(white) / frequency**exponent)
    unit: Floats = (field / field.std()).astype(np.float32)
    return unit


class _Patch(NamedTuple):
    """The part of a scene that an outline covers.

    Attributes:
        rows: of the scene.
        columns: of the scene.
        y: pixels below the outline's centre, float32 `[rows, 1]`.
        x: pixels right of it, float32 `[columns]`.
        mask: cover from 0 to 1, float32 `[rows, columns]`.
    """

    rows: slice
    columns: slice
    y: Floats
    x: Floats
    mask: Floats


class _Scene:
    """One picture in the making: luma, two chromas and strength of texture, float32 `[4, h, w]`."""

    def __init__(self, rng: Generator, fields: _Fields, width: int, height: int) -> None:
        self.rng = rng
        self.fields = fields
        self.width = width
        self.height = height
        self.side = min(width, height)
        self.planes = np.empty((4, height, width), np.float32)

    def fill(self, label: int, texture: float, grain: float) -> None:
        """Paint from the back to the front."""
        self.ground()
        self.clutter()
        self.thing(label)
        self.light(texture, grain)

    def image(self) -> Image.Image:
        """The picture in YCbCr."""
        planes = np.clip(self.planes[:3], 0, 255).astype(np.uint8)
        return Image.merge("YCbCr", [Image.fromarray(plane) for plane in planes])

    def ground(self) -> None:
        """A wall with stains, hard or soft, above a floor."""
        rng = self.rng
        sharpness = float(rng.choice([1, 4, 40]))
        stains = self.crop(self.fields.cloud) * sharpness + rng.uniform(-1, 0.5)
        wall = self.surface(self.any_hue(), 25)
        self.planes[:] = wall
        self.cover(self.planes, np.clip(stains, 0, 1), self.surface(self.any_hue(), 25))
        y = np.arange(self.height, dtype=np.float32)[:, None]
        x = np.arange(self.width, dtype=np.float32)
        edge = self.height * rng.uniform(0.4, 1.2) + x * rng.normal(0, 0.1)
        self.cover(self.planes, np.clip(y - edge, 0, 1), self.surface(self.any_hue(), 25))

    def clutter(self) -> None:
        """Blobs with a power law of sizes, each hiding what it lies on.

        Source: Lee, Mumford and Huang, Occlusion Models for Natural Images (dead leaves).
        """
        rng = self.rng
        for share in 0.04 * rng.random(16) ** -0.6:
            patch = self.blob(
                rng.uniform(0, self.width),
                rng.uniform(0, self.height),
                self.side * min(share, 0.35),
                int(rng.integers(1, 5)),
                rng.uniform(0, 0.25),
                rng.uniform(0, 2 * np.pi),
            )
            self.paint(patch, self.surface(self.any_hue(), 40))

    def thing(self, label: int) -> None:
        """The object: its class decides outline, direction of stripes and, loosely, hue."""
        rng = self.rng
        radius = self.side * rng.uniform(0.27, 0.4)
        x, y = self.width * rng.normal(0.5, 0.05), self.height * rng.normal(0.5, 0.05)
        turn, lobes = rng.normal(-np.pi / 2, 0.2), 2 + label % 4
        shadow = self.blob(
            x + 0.08 * radius, y + 0.1 * radius, radius, lobes, 0.28, turn, soft=0.2 * radius
        )
        self.planes[0, shadow.rows, shadow.columns] *= 1 - 0.4 * shadow.mask
        patch = self.blob(x, y, radius, lobes, 0.28, turn)
        angle = np.pi * label * _GOLDEN + rng.normal(0, 0.1)
        across = patch.x * np.float32(np.cos(angle)) + patch.y * np.float32(np.sin(angle))
        waves = 2 * np.pi / (radius * rng.uniform(0.4, 0.55))
        stripes = np.clip(3 * np.sin(across * waves + rng.uniform(0, 2 * np.pi)) + 0.5, 0, 1)
        first = self.surface(label * _SILVER + rng.normal(0, 0.12), 50)
        second = self.surface(self.any_hue(), 35)
        second[0] = first[0] + rng.uniform(25, 65) * (1 if first[0] < 128 else -1)
        coat = first + stripes * (second - first)
        coat[0] -= patch.y * np.float32(30 / radius)
        self.paint(patch, coat)

    def light(self, texture: float, grain: float) -> None:
        """Uneven light, then texture and grain, deviations in grey levels."""
        luma, blue, red, strength = self.planes
        cloud, cast = self.crop(self.fields.cloud), self.crop(self.fields.cloud)
        luma *= 1 + np.float32(0.12) * cloud
        luma += strength * self.crop(self.fields.texture) * np.float32(texture)
        luma += self.crop(self.fields.grain) * np.float32(grain)
        blue += 4 * cast
        red -= 4 * cast

    def crop(self, field: Floats) -> Floats:
        """Any part of a field, perhaps mirrored, float32 `[h, w]`."""
        top = self.rng.integers(0, len(field) - self.height)
        left = self.rng.integers(0, len(field) - self.width)
        down, right = self.rng.choice([-1, 1], 2)
        return field[top : top + self.height, left : left + self.width][::down, ::right]

    def any_hue(self) -> float:
        """Turns in the plane of blue and red: mostly wood, skin and stone, some sky, some leaf."""
        kind = self.rng.choice(3, p=[0.6, 0.25, 0.15])
        return float(self.rng.normal((0.36, 0.88, 0.6)[kind], 0.06))

    def surface(self, hue: float, chroma: float) -> Floats:
        """Luma, blue, red and strength of texture, float32 `[4, 1, 1]`; some are smooth."""
        rng = self.rng
        reach, turn = chroma * rng.uniform(0.2, 1), 2 * np.pi * hue
        values = (
            rng.uniform(45, 210),
            128 + reach * np.cos(turn),
            128 + reach * np.sin(turn),
            2.4 * rng.random() ** 3,
        )
        return np.array(values, np.float32)[:, None, None]

    def blob(
        self,
        x: float,
        y: float,
        radius: float,
        lobes: int,
        depth: float,
        turn: float,
        soft: float = 1,
    ) -> _Patch:
        """A disc with lobes, its edge `soft` pixels wide, as far as it lies in the scene."""
        reach = radius * (1 + depth) + soft
        rows = slice(max(0, int(y - reach)), max(0, min(self.height, int(y + reach) + 1)))
        columns = slice(max(0, int(x - reach)), max(0, min(self.width, int(x + reach) + 1)))
        down = np.arange(rows.start, rows.stop, dtype=np.float32)[:, None] - np.float32(y)
        right = np.arange(columns.start, columns.stop, dtype=np.float32) - np.float32(x)
        edge = 1 + np.float32(depth) * np.cos(lobes * (np.arctan2(down, right) - np.float32(turn)))
        inside = np.float32(radius) * edge - np.hypot(down, right)
        return _Patch(rows, columns, down, right, np.clip(inside / np.float32(soft) + 0.5, 0, 1))

    def paint(self, patch: _Patch, surface: Floats) -> None:
        """Lay a surface over a patch."""
        self.cover(self.planes[:, patch.rows, patch.columns], patch.mask, surface)

    @staticmethod
    def cover(planes: Floats, mask: Floats, surface: Floats) -> None:
        """Blend a surface into planes where the mask is 1."""
        planes += mask * (surface - planes)
