"""The stages of a loader that decodes with Pillow and copies batches with NumPy."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from feedbench.loaders.augment.draws import Draws
from feedbench.loaders.augment.host import augment_floats, to_range
from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.images.pillow import cut, fitted, picture
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.spec import BatchSpec
from feedbench.loaders.stages.draws import crop_of, drawn, drawn_crops
from feedbench.loaders.stages.stage import (
    HELD_BYTES,
    Run,
    Stages,
    of_all_sizes,
    on_processes,
    repeated,
    sample,
    whole_files,
)


def pillow_stages(manifest: Manifest, spec: BatchSpec) -> Stages:
    """Return stages that read, decode, resize and stack files as `load_img` and NumPy do."""
    work = PillowWork(manifest, spec)
    return Stages(whole_files(manifest), work.decode, work.transform, work.batch_copy)


class PillowWork:
    """Works on a sample of a manifest, with one process per core so that they share no lock."""

    def __init__(self, manifest: Manifest, spec: BatchSpec) -> None:
        self._manifest = manifest
        self._spec = spec

    def decode(self, cores: int) -> Run:
        """Decode with the Pillow calls that `load_img` makes."""
        return on_processes(self._decoded, len(self._files), cores)

    def transform(self, cores: int) -> Run:
        """Resize, copy the pixels out of Pillow, and augment them."""
        few = of_all_sizes([picture.width * picture.height for picture in self._pictures])

        def work(index: int) -> object:
            return self._transformed(few[index % len(few)], draw=index)

        return on_processes(work, len(self._pictures), cores)

    def batch_copy(self, cores: int) -> Run:
        """Stack, and scale to the value range, on one core."""
        return repeated(self._batches())

    @cached_property
    def _files(self) -> list[bytes]:
        return sample(self._manifest)[1]

    @cached_property
    def _pictures(self) -> list[Any]:
        pictures: list[Any] = []
        held = 0
        for index in range(len(self._files)):
            pictures.append(self._decoded(index))
            held += 3 * pictures[-1].width * pictures[-1].height
            if held > HELD_BYTES:
                break
        return pictures

    @cached_property
    def _draws(self) -> Draws:
        return drawn(len(self._pictures), self._spec)

    @cached_property
    def _crops(self) -> Crops | None:
        return drawn_crops(len(self._pictures), self._spec)

    def _batches(self) -> Iterator[int]:
        size = self._spec.batch_size
        images = [self._transformed(index) for index in range(len(self._pictures))]
        batch = [images[index % len(images)] for index in range(size)]
        while True:
            to_range(np.stack(batch), self._spec)
            yield size

    def _decoded(self, index: int) -> Any:
        return picture(io.BytesIO(self._files[index]), self._spec)

    def _transformed(self, index: int, *, draw: int | None = None) -> NDArray[np.float32]:
        draw = index if draw is None else draw
        whole, crop = self._pictures[index], crop_of(self._crops, index)
        resized = fitted(whole, self._spec) if crop is None else cut(whole, crop, self._spec)
        image = np.array(resized, np.float32)
        augment_floats(image[None], self._draws[draw : draw + 1], self._spec)
        return image
