"""DALI's operators from encoded images to batches, and the settings that shape them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveInt

from feedbench.loaders.augment.draws import FLIP, NEUTRAL, UNCHANGED, Draws
from feedbench.loaders.augment.regions import COLUMNS, HIGH, LOW, Crops
from feedbench.loaders.cores import usable_cores
from feedbench.loaders.guests.dali_region import region_in_graph
from feedbench.loaders.guests.finish import Finish
from feedbench.loaders.images.geometry import padded_size
from feedbench.loaders.settings import Output, PixelOutput
from feedbench.loaders.spec import BatchSpec


class Dali(PixelOutput):
    """Settings of `dali`."""

    num_threads: PositiveInt | None = Field(
        None, description="DALI's threads, each decoding an image; default: one per core."
    )
    prefetch_queue_depth: PositiveInt = Field(
        2, description="Batches prepared ahead; each takes memory, also for its encoded images."
    )
    device: Literal["cpu", "mixed"] = Field(
        "cpu",
        description="Where images are decoded and resized; mixed: on the GPU, from which batches "
        "are copied back to the host.",
    )
    use_fast_idct: bool = Field(
        False,
        description="libjpeg-turbo's faster inverse DCT: other pixels, by a level or two.",
    )
    output: Output = "uint8"


def done_by_dali(spec: BatchSpec) -> bool:
    """Whether DALI augments images and brings them into the value range; else the host does."""
    return not spec.augment.on_host or spec.augment.on_host.only_flips


def finish_of(spec: BatchSpec, settings: Dali) -> Finish:
    """What is left to do on the host."""
    by_dali = done_by_dali(spec)
    left = spec.model_copy(update={"augment": UNCHANGED}) if by_dali else spec
    return Finish(left, "uint8" if by_dali else settings.output)


class Graph:
    """The operators from encoded images to batches.

    Attributes:
        reads_files: whether it is given paths of files; otherwise their bytes.
    """

    def __init__(self, spec: BatchSpec, settings: Dali, *, reads_files: bool) -> None:
        self._spec = spec.as_resized()
        self._settings = settings
        self._cuts = spec.augment.random_resized_crop is not None
        self.reads_files = reads_files
        self._device = settings.device
        augment = spec.augment.on_host
        self._flips = augment.horizontal_flip and augment.only_flips

    def inputs(self, given: Iterable[bytes], draws: Draws, crops: Crops | None) -> list[list[Any]]:
        """What `fn.external_source` takes: paths or bytes of images, flips, crops."""
        inputs: list[list[Any]] = [[np.frombuffer(one, np.uint8) for one in given]]
        if self._flips:
            inputs.append(list(draws[:, FLIP].astype(np.int32)))
        if crops is not None:
            inputs.append(list(crops))
        return inputs

    def try_one(self, given: bytes) -> None:
        """Decode one image.

        Raises:
            RuntimeError: DALI cannot.
        """
        crops = np.zeros((1, COLUMNS), np.float32)
        crops[:, [LOW, HIGH]] = 1
        inputs = self.inputs([given], NEUTRAL[None], crops if self._cuts else None)
        self.pipeline(iter([inputs]), 1).run()

    def pipeline(self, source: Iterator[list[list[Any]]], batch_size: int) -> Any:
        """A pipeline, built, whose only output are the images."""
        from nvidia.dali import Pipeline, fn, types

        pipeline = Pipeline(
            batch_size=batch_size,
            num_threads=self._settings.num_threads or usable_cores(),
            device_id=0 if self._device == "mixed" else None,
            prefetch_queue_depth=self._settings.prefetch_queue_depth,
            exec_dynamic=True,  # each batch has memory of its own
        )
        with pipeline:
            kinds = [types.UINT8, *[types.INT32] * self._flips, *[types.FLOAT] * self._cuts]
            data, *more = fn.external_source(
                source=source, num_outputs=len(kinds), batch=True, dtype=kinds
            )
            # Not mapped, which is no faster: a file that is cut short then would end the process.
            encoded = fn.io.file.read(data, dont_use_mmap=True) if self.reads_files else data
            crop = more.pop() if self._cuts else None
            pipeline.set_outputs(self._finished(self._resized(encoded, crop), *more))
        pipeline.build()
        return pipeline

    def _resized(self, encoded: Any, crop: Any) -> Any:
        from nvidia.dali import fn, math, types

        spec, side, shape = self._spec, self._spec.image_size, self._shape(encoded)
        nearest = spec.interpolation == "nearest"
        resized = partial(
            fn.resize,
            interp_type=types.INTERP_NN if nearest else types.INTERP_LINEAR,
            antialias=spec.antialias,
        )
        if crop is not None:
            part = self._decoded_part(encoded, *region_in_graph(shape, crop))
            return resized(part, size=(side, side))
        if spec.resize == "crop":
            return resized(self._square(encoded, shape), size=(side, side))
        images = self._decoded_part(encoded, [0, 0], shape[0:2])
        if spec.resize == "stretch":
            return resized(images, size=(side, side))
        height, width = (fn.cast(shape[axis], dtype=types.FLOAT64) for axis in (0, 1))
        size = padded_size(height, width, side, larger=math.max, whole=math.floor)
        fitted = resized(images, size=fn.cast(fn.stack(*size), dtype=types.FLOAT))
        return fn.crop(fitted, crop=(side, side), out_of_bounds_policy="pad", rounding="truncate")

    def _square(self, encoded: Any, shape: Any) -> Any:
        """The centre square, which alone is decoded."""
        from nvidia.dali import fn, math

        height, width = shape[0], shape[1]
        side = math.min(height, width)
        begin = fn.stack((height - side) // 2, (width - side) // 2)
        return self._decoded_part(encoded, begin, fn.stack(side, side))

    def _shape(self, encoded: Any) -> Any:
        """Height, width and channels of images that are not decoded yet, int32."""
        from nvidia.dali import fn, types

        is_upright = self._spec.orientation == "apply"
        return fn.peek_image_shape(encoded, adjust_orientation=is_upright, dtype=types.INT32)

    def _decoded_part(self, encoded: Any, begin: Any, size: Any) -> Any:
        """A part of each image, which alone is decoded; or all of it.

        Its size is that of `_shape`, which has to come first: it raises an error for bytes that
        are no image, of which DALI's decoders end the process in a batch of 60 images or more.
        """
        from nvidia.dali import fn

        return fn.decoders.image_slice(
            encoded,
            start=begin,
            shape=size,
            axes=(0, 1),
            device=self._device,
            use_fast_idct=self._settings.use_fast_idct,
            adjust_orientation=self._spec.orientation == "apply",
        )

    def _finished(self, images: Any, flips: Any = 0) -> Any:
        """Flipped and in the value range, if DALI does all that the spec asks for."""
        from nvidia.dali import fn, types

        spec, augment = self._spec, self._spec.augment.on_host
        if augment and not augment.only_flips:
            return images
        if self._settings.output == "float32":
            deviation = [1 / scale for scale in spec.scale]
            means = [-offset * one for offset, one in zip(spec.offset, deviation, strict=True)]
            return fn.crop_mirror_normalize(
                images,
                dtype=types.FLOAT,
                output_layout="HWC",
                mean=means,
                std=deviation,
                mirror=flips,
            )
        return fn.flip(images, horizontal=flips) if self._flips else images
