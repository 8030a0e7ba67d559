"""Generates images in class folders, for benchmarks without a real data set.

The images are painted by `scenes`. Presets give them the sizes and the bytes of real data sets, so
that they are as slow to decode.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, replace
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Literal, TypeAlias

import numpy as np
from numpy.random import default_rng
from numpy.typing import NDArray
from PIL import Image

from feedbench.bench.data.scenes import paint_scene
from feedbench.bench.errors import RecordError, SampleError
from feedbench.bench.files import replacing
from feedbench.bench.signals import interrupts_deferred

PresetName = Literal["imagenet", "web", "mixed", "small"]
Format = Literal["JPEG", "PNG", "WEBP"]
# The names in `feedbench.loaders.manifest.SPLITS`; importing it would cost each worker 0.4 s.
SPLITS = ("train", "validation", "test")

Totals: TypeAlias = NDArray[np.int64]  # images, bytes, widths, heights, pixels

_SUFFIXES: dict[Format, str] = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
_CHUNK_IMAGES = 8
# Steps of an additive recurrence that fills four dimensions evenly.
# Source: M. Roberts, The Unreasonable Effectiveness of Quasirandom Sequences (R4).
_STEPS = 1.1673039782614187 ** -np.arange(1.0, 5.0)


@dataclass(frozen=True)
class GeneratedImages:
    """Statistics of the images that were written.

    Attributes:
        images: number of files.
        classes: number of classes.
        bytes: total size of all files.
        mean_width: pixels.
        mean_height: pixels.
        mean_bytes: mean file size.
        bits_per_pixel: bits of all files divided by pixels of all images.
    """

    images: int
    classes: int
    bytes: int
    mean_width: float
    mean_height: float
    mean_bytes: float
    bits_per_pixel: float


@dataclass(frozen=True)
class Preset:
    """Properties that make files as large, and as slow to decode, as those of a real data set.

    Attributes:
        long_side: mean length of the longer side, pixels.
        short_side: mean length of the shorter side, pixels.
        landscape: share of images that are wider than high, 0 to 1.
        texture: lowest and highest standard deviation of the texture, grey levels.
        grain: standard deviation of the sensor noise, grey levels.
        quality: quality of JPEG and WebP, 1 to 100.
        sampling: chroma subsampling of JPEG.
        formats: file formats, assigned to the images of a class in rotation.
    """

    long_side: int
    short_side: int
    landscape: float
    texture: tuple[float, float]
    grain: float
    quality: int
    sampling: Literal["4:2:0", "4:4:4"] = "4:2:0"
    formats: tuple[Format, ...] = ("JPEG",)

    def size(self, orientation: float, longer: float, shorter: float) -> tuple[int, int]:
        """Return width and height in pixels for three random numbers in [0, 1).

        Sides vary by ±12 %; the image is landscape if `orientation` is below `landscape`.
        """
        long_side = round(self.long_side * (0.88 + 0.24 * longer))
        short_side = round(self.short_side * (0.88 + 0.24 * shorter))
        is_landscape = orientation < self.landscape
        return (long_side, short_side) if is_landscape else (short_side, long_side)


# Tuned until the file sizes matched and libjpeg-turbo's decoding time was that of clothing
# photographs 400 pixels wide ("web"), and 2.14 times that ("imagenet": 1.35 against 0.63 ms).
# For files of equal size, 4:4:4 takes a decoder up to a tenth longer than 4:2:0.
_WEB = Preset(537, 402, 0.13, texture=(4, 55), grain=2, quality=66)
PRESETS: dict[PresetName, Preset] = {
    "imagenet": Preset(497, 372, 0.77, texture=(6, 48), grain=3, quality=96, sampling="4:4:4"),
    "web": _WEB,
    "mixed": replace(_WEB, formats=("JPEG",) * 8 + ("PNG", "WEBP")),
    "small": Preset(240, 180, 0.5, texture=(2, 12), grain=2, quality=85),
}


@dataclass(frozen=True)
class _Job:
    """Everything that determines the bytes of the files, and the folder they are written to."""

    out: Path
    images: int
    preset: Preset
    seed: int
    classes: int

    def format(self, index: int) -> Format:
        """Return the file format of an image; classes start at different formats."""
        position = index // self.classes + index % self.classes
        return self.preset.formats[position % len(self.preset.formats)]

    def folder(self, split: str, label: int) -> Path:
        """Return the folder of a class in a split."""
        return self.out / split / f"class_{label:0{len(str(self.classes - 1))}d}"

    def path(self, index: int) -> Path:
        """Return the file of an image.

        The last tenth of each class is for testing, and the tenth before it for validation.
        """
        position, label = divmod(index, self.classes)
        class_size = len(range(label, self.images, self.classes))
        held_out = max(1, round(class_size / 10))
        split = SPLITS[2 - min(2, (class_size - 1 - position) // held_out)]
        name = f"{index:0{len(str(self.images - 1))}d}.{_SUFFIXES[self.format(index)]}"
        return self.folder(split, label) / name


def make_data(
    out: Path,
    *,
    images: int,
    preset: PresetName,
    seed: int,
    classes: int = 10,
    advance: Callable[[int], None] = lambda count: None,
) -> GeneratedImages:
    """Write generated images to `out/{train,validation,test}/<class>/<number>.<suffix>`.

    Equal arguments give equal bytes, whatever the number of cores.

    Args:
        out: folder to create; an empty one may exist.
        images: total number of images, split 80/10/10 within each class.
        preset: name of the data set whose image sizes, file sizes and decoding time are imitated.
        seed: at least 0.
        classes: number of classes; consecutive images belong to consecutive classes.
        advance: called with the number of images written since the last call.

    Raises:
        SampleError: an argument is out of range, or `out` is not empty or cannot be written.
    """
    job = _Job(out, images, _find_preset(preset), seed, classes)
    _check(job)
    _create_folders(job)
    try:
        totals = _write_all(job, advance)
    except (OSError, RecordError) as error:
        raise SampleError(
            f"{out}: writing failed; remove the folder before you try again: {error}"
        ) from error
    except BrokenProcessPool as error:
        raise SampleError(
            f"{out}: a worker process was killed, possibly out of memory; "
            "remove the folder before you try again"
        ) from error
    return _statistics(classes, totals)


def _find_preset(name: PresetName) -> Preset:
    try:
        return PRESETS[name]
    except KeyError:
        raise SampleError(f"preset must be one of {', '.join(PRESETS)}, got {name!r}") from None


def _check(job: _Job) -> None:
    if job.classes < 1:
        raise SampleError(f"classes must be at least 1, got {job.classes}")
    if job.seed < 0:
        raise SampleError(f"seed must be at least 0, got {job.seed}")
    minimum = len(SPLITS) * job.classes
    if job.images < minimum:
        raise SampleError(
            f"images must be at least {minimum}, one per class and split, got {job.images}; "
            "ask for more images or fewer classes"
        )


def _create_folders(job: _Job) -> None:
    """Create the class folders; refuse a folder that contains anything."""
    try:
        job.out.mkdir(parents=True, exist_ok=True)
        if any(job.out.iterdir()):
            raise SampleError(f"{job.out}: the folder is not empty; choose a new one")
        for split in SPLITS:
            for label in range(job.classes):
                job.folder(split, label).mkdir(parents=True)
    except OSError as error:
        raise SampleError(
            f"{job.out}: the folder cannot be created ({error.strerror}); "
            "choose one that you can write to"
        ) from error


def _statistics(classes: int, totals: Totals) -> GeneratedImages:
    images, size, width, height, pixels = totals.tolist()
    return GeneratedImages(
        images, classes, size, width / images, height / images, size / images, 8 * size / pixels
    )


def _write_all(job: _Job, advance: Callable[[int], None]) -> Totals:
    """Write all images on all cores; an error cancels the chunks that have not started."""
    chunks = [
        range(begin, min(begin + _CHUNK_IMAGES, job.images))
        for begin in range(0, job.images, _CHUNK_IMAGES)
    ]
    workers = min(len(os.sched_getaffinity(0)), len(chunks))
    pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_exit_with_parent)
    totals = np.zeros(5, np.int64)
    try:
        with interrupts_deferred():
            futures = [pool.submit(_write_chunk, job, chunk) for chunk in chunks]
        for future in as_completed(futures):
            chunk_totals = future.result()
            totals += chunk_totals
            advance(int(chunk_totals[0]))
    finally:
        pool.shutdown(cancel_futures=True)
    return totals


def _exit_with_parent() -> None:
    """End this worker when its parent ends: a parent that is killed cannot shut it down."""
    Thread(target=_exit_after_parent, daemon=True).start()


def _exit_after_parent() -> None:
    parent = parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _write_chunk(job: _Job, indices: range) -> Totals:
    totals = np.zeros(5, np.int64)
    for index in indices:
        size, width, height = _write_image(job, index)
        totals += (1, size, width, height, width * height)
    return totals


def _write_image(job: _Job, index: int) -> tuple[int, int, int]:
    """Write one image and return its bytes, width and height."""
    preset = job.preset
    # Values spread evenly by index give sizes and textures the intended means with few images too.
    spread = (default_rng([3, job.seed]).random(4) + index * _STEPS) % 1
    orientation, longer, shorter, detail = spread
    size = preset.size(orientation, longer, shorter)
    lowest, highest = preset.texture
    texture = lowest * (highest / lowest) ** detail
    image = paint_scene(job.seed, index, index % job.classes, size, texture, preset.grain)
    data = _encode(image, preset, job.format(index))
    with replacing(job.path(index)) as temporary:
        temporary.write_bytes(data)
    return len(data), *size


def _encode(image: Image.Image, preset: Preset, file_format: Format) -> bytes:
    file = io.BytesIO()
    match file_format:
        case "JPEG":
            image.save(file, "JPEG", quality=preset.quality, subsampling=preset.sampling)
        case "PNG":
            image.convert("RGB").save(file, "PNG")
        case "WEBP":
            image.convert("RGB").save(file, "WEBP", quality=preset.quality)
    return file.getvalue()
