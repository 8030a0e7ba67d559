"""dali: NVIDIA's DALI, a pipeline of operators on its own threads; it also runs without a GPU.

Written as DALI's guide recommends for an order of one's own: `fn.external_source` gives the paths,
and `fn.io.file.read` reads them on DALI's threads; a centre crop is decoded alone, by
`fn.decoders.image_slice`. Source: docs.nvidia.com/deeplearning/dali/user-guide, operators
`fn.io.file.read`, `fn.decoders.image`, `fn.resize` and `fn.crop_mirror_normalize`.

Pixels: JPEGs by libjpeg-turbo, so that `nearest` gives those of `turbo`; `bilinear` differs by 0.1
levels on average (docs/guests.md). DALI leaves out the alpha of transparent pixels instead of
laying them over a background.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveInt

from feedbench.loaders.augment.draws import FLIP, NEUTRAL, UNCHANGED, Draws
from feedbench.loaders.augment.regions import COLUMNS, HIGH, LOW, Crops
from feedbench.loaders.contract import Batch, Loader, Request, Stream
from feedbench.loaders.cores import thread_counts, usable_cores
from feedbench.loaders.errors import ImageError, LoaderError, SettingsError
from feedbench.loaders.fifos import FifoWatch
from feedbench.loaders.files import read_file
from feedbench.loaders.guests.dali_region import region_in_graph
from feedbench.loaders.guests.finish import Finish
from feedbench.loaders.guests.importing import importing
from feedbench.loaders.guests.package import Package
from feedbench.loaders.order import Order, Rows
from feedbench.loaders.settings import Output, PixelOutput

PACKAGE = Package("dali", ("nvidia.dali",))


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


def open_stream(request: Request, settings: Dali) -> Stream:
    """Batches in the seeded order, which an external source gives to the pipeline.

    Raises:
        SettingsError: `device` needs a GPU, and there is none.
        LoaderError: DALI cannot be imported.
    """
    if settings.device == "mixed" and not _gpus():
        raise SettingsError("settings of dali: device: mixed needs a GPU, there is none; use cpu")
    with importing("dali", PACKAGE):
        import nvidia.dali.fn  # noqa: F401
    batches = _Batches(request, settings)
    return Stream(batches.batches(), batches.close, request.faults)


def _gpus() -> int:
    import pynvml

    try:
        pynvml.nvmlInit()
        return int(pynvml.nvmlDeviceGetCount())
    except pynvml.NVMLError:
        return 0


class _Batches:
    """Batches of an order; after an image fails, a new pipeline continues without it.

    A pipeline of DALI cannot continue after an error.
    """

    def __init__(self, request: Request, settings: Dali) -> None:
        self._request = request
        self._settings = settings
        self._graph = _Graph(request, settings)
        augment = request.spec.augment
        by_dali = not augment.on_host or augment.on_host.only_flips
        spec = request.spec.model_copy(update={"augment": UNCHANGED}) if by_dali else request.spec
        self._finish = Finish(spec, "uint8" if by_dali else settings.output)
        self._pipeline: Any = None

    def batches(self) -> Iterator[Batch]:
        """The batches in order.

        Raises:
            LoaderError: an image cannot be read and may not be dropped.
        """
        order, faults, step = self._request.order, self._request.faults, 0
        with FifoWatch(self._request.manifest) as watch:
            while order.steps is None or step < order.steps:
                try:
                    for batch in watch.over(self._run(order, step)):
                        yield batch
                        step += 1
                except (RuntimeError, OSError) as error:  # of DALI, or of reading a shard
                    failed = self._failed(order, step, error)
                    for fault in failed:
                        faults.add(fault)
                    order = order.without(fault.row for fault in failed)

    def close(self) -> None:
        """End the threads, and free the memory of the pipeline."""
        self._pipeline = None

    def _run(self, order: Order, step: int) -> Iterator[Batch]:
        """The batches from a step on, by a new pipeline."""
        spans = _spans(order, step)
        self._pipeline = None
        self._pipeline = self._graph.pipeline(self._samples(order, step), order.batch_size)
        for begin, end in spans:
            (images,) = self._pipeline.run()
            images = images.as_cpu() if self._settings.device == "mixed" else images
            # A copy: DALI writes the next batch but one into the same memory.
            pixels = np.array(images.as_tensor())
            draws = order.draws(begin, end)
            yield self._request.batch(self._finish(pixels, draws), order.rows(begin, end), draws)

    def _samples(self, order: Order, step: int) -> Iterator[list[list[Any]]]:
        """What the external source gives for each batch."""
        for begin, end in _spans(order, step):
            paths = self._request.manifest.paths(order.rows(begin, end))
            draws, crops = order.draws(begin, end), order.crops(begin, end)
            yield self._graph.inputs(paths, draws, crops)

    def _failed(self, order: Order, step: int, error: Exception) -> list[ImageError]:
        """The images that DALI cannot decode, in a batch that failed or in those after it.

        Raises:
            LoaderError: it decodes each of them.
        """
        ahead = self._settings.prefetch_queue_depth + 1
        for (begin, end), _ in zip(_spans(order, step), range(ahead), strict=False):
            if failed := self._unreadable(order.rows(begin, end)):
                return failed
        raise LoaderError(f"DALI: {_reason(error)}; batch {step}") from error

    def _unreadable(self, rows: Rows) -> list[ImageError]:
        """Errors of the rows that cannot be decoded, each tried alone."""
        failed = []
        unique: Rows = np.unique(rows)
        for row, path in zip(unique.tolist(), self._request.manifest.paths(unique), strict=True):
            name = os.fsdecode(path)
            try:
                read_file(path)
                self._graph.try_one(path)
            except OSError as error:
                reason = error.strerror or str(error)
                failed.append(ImageError(name, row, "the system", reason))
            except RuntimeError as error:
                failed.append(ImageError(name, row, "DALI", _reason(error)))
        return failed


class _Graph:
    """The operators from encoded images to batches."""

    def __init__(self, request: Request, settings: Dali) -> None:
        self._spec = request.spec.as_resized()
        self._settings = settings
        self._cuts = request.spec.augment.random_resized_crop is not None
        self._reads_files = request.manifest.are_files
        self._device = settings.device
        augment = request.spec.augment.on_host
        self._flips = augment.horizontal_flip and augment.only_flips

    def inputs(self, paths: list[bytes], draws: Draws, crops: Crops | None) -> list[list[Any]]:
        """What `fn.external_source` takes: paths or bytes of images in shards, flips, crops."""
        given = paths if self._reads_files else map(read_file, paths)
        inputs: list[list[Any]] = [[np.frombuffer(one, np.uint8) for one in given]]
        if self._flips:
            inputs.append(list(draws[:, FLIP].astype(np.int32)))
        if crops is not None:
            inputs.append(list(crops))
        return inputs

    def try_one(self, path: bytes) -> None:
        """Decode one image.

        Raises:
            RuntimeError: DALI cannot.
        """
        crops = np.zeros((1, COLUMNS), np.float32)
        crops[:, [LOW, HIGH]] = 1
        inputs = self.inputs([path], NEUTRAL[None], crops if self._cuts else None)
        self.pipeline(iter([inputs]), 1).run()

    def pipeline(self, source: Iterator[list[list[Any]]], batch_size: int) -> Any:
        """A pipeline, built, whose only output are the images."""
        from nvidia.dali import Pipeline, fn, types

        pipeline = Pipeline(
            batch_size=batch_size,
            num_threads=self._settings.num_threads or usable_cores(),
            device_id=0 if self._device == "mixed" else None,
            prefetch_queue_depth=self._settings.prefetch_queue_depth,
        )
        with pipeline:
            kinds = [types.UINT8, *[types.INT32] * self._flips, *[types.FLOAT] * self._cuts]
            data, *more = fn.external_source(
                source=source, num_outputs=len(kinds), batch=True, dtype=kinds
            )
            encoded = fn.io.file.read(data) if self._reads_files else data
            crop = more.pop() if self._cuts else None
            pipeline.set_outputs(self._finished(self._resized(encoded, crop), *more))
        pipeline.build()
        return pipeline

    def _resized(self, encoded: Any, crop: Any) -> Any:
        from nvidia.dali import fn, math, types

        spec, side = self._spec, self._spec.image_size
        decoded = partial(
            fn.decoders.image,
            device=self._device,
            use_fast_idct=self._settings.use_fast_idct,
            adjust_orientation=spec.orientation == "apply",
        )
        nearest = spec.interpolation == "nearest"
        resized = partial(
            fn.resize,
            interp_type=types.INTERP_NN if nearest else types.INTERP_LINEAR,
            antialias=spec.antialias,
        )
        if crop is not None:
            part = self._decoded_part(encoded, *region_in_graph(self._shape(encoded), crop))
            return resized(part, size=(side, side))
        if spec.resize == "stretch":
            return resized(decoded(encoded), size=(side, side))
        if spec.resize == "crop":
            return resized(self._square(encoded), size=(side, side))
        images = decoded(encoded)
        height, width = images.shape()[0], images.shape()[1]
        longer = math.max(height, width)
        size = [math.max(length * side // longer, 1) for length in (height, width)]
        fitted = resized(images, size=fn.cast(fn.stack(*size), dtype=types.FLOAT))
        return fn.crop(fitted, crop=(side, side), out_of_bounds_policy="pad", rounding="truncate")

    def _square(self, encoded: Any) -> Any:
        """The centre square, which alone is decoded."""
        from nvidia.dali import fn, math

        shape = self._shape(encoded)
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
        """A part of each image, which alone is decoded."""
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


def _spans(order: Order, step: int) -> Iterator[tuple[int, int]]:
    """The positions of each batch from a step on."""
    steps = order.steps
    while steps is None or step < steps:
        yield order.chunk(step, order.batch_size)
        step += 1


def _reason(error: Exception) -> str:
    """DALI's error on one line, without the operator and where in Python it was made."""
    text = str(error)
    said = text.partition("encountered:")[2] or text
    lines = (line.strip() for line in said.splitlines())
    return next((line for line in lines if line), type(error).__name__)


LOADER = Loader(
    name="dali",
    summary="NVIDIA's DALI: a graph of operators on its own threads, with or without a GPU",
    settings=Dali,
    open=open_stream,
    readable_by=("pillow",),
    space={
        "num_threads": lambda cores: (None, *(n for n in thread_counts(cores) if n != cores)),
        "prefetch_queue_depth": (2, 1, 4),
        "use_fast_idct": (False, True),
        "output": ("uint8", "float32"),
    },
    suites={"peers": ({},)},
    cuts_no_regions=lambda settings: None,
    package=PACKAGE,
)
