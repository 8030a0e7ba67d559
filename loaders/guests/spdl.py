"""spdl: Meta's SPDL, whose pipeline decodes and resizes on threads free of the GIL.

The pipeline is that of SPDL's guide: a source, a stage with `concurrency`, a sink. A stage may be
any function. With `decoder=ffmpeg`, it makes a batch by the steps of `spdl.io.load_image_batch`:
demux, decode with a filter that resizes, convert. They are called per image, since that function
does not say which file failed. With the other decoders it calls the same code as `torch` and
`grain` do; simplejpeg and OpenCV release the GIL.
Source: https://facebookresearch.github.io/spdl, "Building and Running Pipeline", `spdl.io`, and the
example `image_dataloading`.

Pixels: with the other decoders those of `turbo`. FFmpeg decodes JPEGs with an inverse DCT of its
own, and resizes before it converts to RGB, so that colours are resized from their subsampled size.
Its `bilinear` always antialiases. They differ from those of `turbo` by 1 to 2.5 levels on average
(docs/guests.md). The alpha of transparent pixels is left out, instead of laying them over a
background.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from itertools import count
from typing import Any, Literal

import numpy as np
from pydantic import Field, PositiveInt

from feedbench.loaders.augment.regions import Crops, region_in
from feedbench.loaders.contract import Batch, BatchSpec, Loader, Request, Stream
from feedbench.loaders.cores import thread_counts, usable_cores
from feedbench.loaders.errors import ImageError, SpecError
from feedbench.loaders.files import read_row
from feedbench.loaders.guests.images import Images
from feedbench.loaders.guests.importing import importing
from feedbench.loaders.guests.making import MakeBatch, batch_of
from feedbench.loaders.guests.package import Package
from feedbench.loaders.guests.stages import decoded_stages, sampled_files
from feedbench.loaders.images.libjpeg_turbo import SIMPLEJPEG_ERRORS
from feedbench.loaders.images.resize import Pixels
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Rows
from feedbench.loaders.settings import Output, PixelOutput
from feedbench.loaders.stages.pool import DecodingWork, pixel_stages
from feedbench.loaders.stages.stage import Concurrency, Stages, whole_files

PACKAGE = Package("spdl", ("spdl.io", "spdl.pipeline"), system="ffmpeg")
_QUIET = 8  # FFmpeg's log level "fatal": errors are raised, and named by their file


class Spdl(PixelOutput):
    """Settings of `spdl`."""

    concurrency: PositiveInt | None = Field(
        None, description="Batches made at a time, each on a thread; default: one per core."
    )
    buffer_size: PositiveInt = Field(
        3, description="Batches that wait in the pipeline's sink; each takes memory."
    )
    decoder: Literal["ffmpeg", "pillow", "opencv", "simplejpeg"] = Field(
        "ffmpeg",
        description="What decodes: ffmpeg, which spdl.io brings; or for JPEGs pillow, opencv or "
        "simplejpeg, which is libjpeg-turbo alone. With the last three, other files are decoded by "
        "Pillow, and OpenCV resizes.",
    )
    output: Output = "uint8"


def open_stream(request: Request, settings: Spdl) -> Stream:
    """Batches in the seeded order, which is the source of the pipeline.

    Raises:
        SpecError: the spec asks for upright photographs: FFmpeg's decoder does not turn them.
        LoaderError: SPDL or the libraries of FFmpeg cannot be imported.
    """
    if request.spec.orientation == "apply" and settings.decoder == "ffmpeg":
        raise SpecError(
            "spdl cannot turn photos upright with decoder=ffmpeg; set orientation='ignore', "
            "another decoder or another loader"
        )
    with importing("spdl", PACKAGE):
        import spdl.io.utils

        spdl.io.utils.set_ffmpeg_log_level(_QUIET)
    running = _Running(request, settings)
    return Stream(running.batches(), running.close, request.faults)


class _Running:
    """The pipeline, built when the first batch is asked for: one that never starts warns."""

    def __init__(self, request: Request, settings: Spdl) -> None:
        self._request = request
        self._settings = settings
        self._pipeline: Any = None

    def batches(self) -> Iterator[Batch]:
        """The batches in order.

        Raises:
            LoaderError: an image cannot be read and may not be dropped.
        """
        self._pipeline = _pipeline(self._request, self._settings)
        self._pipeline.start()
        for made in self._pipeline.get_iterator():
            yield batch_of(self._request, made)

    def close(self) -> None:
        """End the threads."""
        if self._pipeline is not None:
            self._pipeline.stop()


def _pipeline(request: Request, settings: Spdl) -> Any:
    """The pipeline from steps to batches."""
    from spdl.pipeline import PipelineBuilder

    steps = request.order.steps
    threads = settings.concurrency or usable_cores()
    images = partial(_source, request.manifest, request.spec, settings.decoder)
    make = MakeBatch(request, settings.output, images)
    return (
        PipelineBuilder()
        .add_source(count() if steps is None else range(steps))
        .pipe(make, concurrency=threads, output_order="input", name="make_batch")
        .add_sink(settings.buffer_size)
        .build(num_threads=threads)
    )


def _source(manifest: Manifest, spec: BatchSpec, decoder: str) -> Images | _Decoded:
    """The images that a decoder gives of a manifest's rows."""
    if decoder == "ffmpeg":
        return _Decoded(manifest, spec)
    return Images(manifest, spec, decoder, "full")


class _Decoded:
    """The images of a manifest's rows, decoded and resized by FFmpeg."""

    def __init__(self, manifest: Manifest, spec: BatchSpec) -> None:
        self._manifest = manifest
        self._filters = filter_description(spec.as_resized())

    def find(self, rows: Rows) -> list[bytes]:
        """The absolute paths of some rows."""
        return self._manifest.paths(rows)

    def load(self, row: int, item: bytes, into: Pixels) -> None:
        """Write the image of a row's file, uint8 `[image_size, image_size, 3]`.

        Raises:
            ImageError: the file cannot be read.
        """
        into[...] = self.decoded(row, item, read_row(row, item))

    def load_region(self, row: int, item: bytes, into: Pixels, crop: Crops) -> None:
        """Write a random-resized crop of the image of a row's file, stretched to the same size.

        Raises:
            ImageError: the file cannot be read.
        """
        into[...] = self.decoded(row, item, read_row(row, item), crop)

    def decoded(self, row: int, path: bytes, data: bytes, crop: Crops | None = None) -> Pixels:
        """The image of a file's bytes, or a crop of it, uint8 `[image_size, image_size, 3]`.

        Raises:
            ImageError: FFmpeg cannot decode it.
        """
        import spdl.io

        try:
            filters = self._filters if crop is None else _cut(data, crop) + self._filters
            packets = spdl.io.demux_image(data)
            frame = spdl.io.decode_packets(packets, filter_desc=filters)
            return np.asarray(spdl.io.to_numpy(spdl.io.convert_frames(frame)))
        except Exception as error:  # of the stage, the demuxer and the decoder
            raise ImageError(os.fsdecode(path), row, "FFmpeg", _reason(error)) from error


def filter_description(spec: BatchSpec) -> str:
    """The spec's resizing as FFmpeg's filters, in the syntax of its command line."""
    side = spec.image_size
    resized = f"flags={_flags(spec)}"
    rgb = "format=pix_fmts=rgb24"
    if spec.resize == "pad":
        # As in `geometry.padded_size`, whose division may end just below a whole number.
        lengths = (f"'max(1,trunc({length}/(max(iw,ih)/{side})))'" for length in ("iw", "ih"))
        scale = "scale=w={}:h={}:".format(*lengths) + resized
        places = "x='trunc((ow-iw)/2)':y='trunc((oh-ih)/2)'"
        return f"{scale},{rgb},pad=w={side}:h={side}:{places}"
    scale = f"scale=w={side}:h={side}:{resized},{rgb}"
    if spec.resize == "crop":
        return f"crop=w='min(iw,ih)':h='min(iw,ih)':exact=1,{scale}"
    return scale


def _cut(data: bytes, crop: Crops) -> str:
    """A filter that cuts a random-resized crop out of the image of a file, and a comma."""
    top, left, height, width = region_in(*_size(data), crop)
    return f"crop=w={width}:h={height}:x={left}:y={top}:exact=1,"


def _size(data: bytes) -> tuple[int, int]:
    """Height and width of an image, from the first bytes of its file."""
    import simplejpeg
    from PIL import Image

    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
    except SIMPLEJPEG_ERRORS:
        with Image.open(io.BytesIO(data)) as image:
            return image.height, image.width
    return int(height), int(width)


def _flags(spec: BatchSpec) -> str:
    """The scaler's flags; its `bilinear` always widens the filter when it shrinks."""
    return "neighbor" if spec.interpolation == "nearest" else "bilinear"


def _reason(error: Exception) -> str:
    """SPDL's error on one line."""
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _stages(manifest: Manifest, spec: BatchSpec, settings: Spdl) -> Stages:
    """Decoding and resizing are one call of FFmpeg, and one stage; two with another decoder."""
    images = _source(manifest, spec, settings.decoder)
    if isinstance(images, Images):
        stages = decoded_stages(manifest, spec, images, settings.output)
    else:
        stages = replace(
            pixel_stages(whole_files(manifest), spec, settings.output),
            decode=_decoding(manifest, spec, images).decode,
        )
    return replace(stages, concurrency=Concurrency("threads", settings.concurrency))


def _decoding(manifest: Manifest, spec: BatchSpec, images: _Decoded) -> DecodingWork:
    items = partial(sampled_files, manifest, spec)
    return DecodingWork(spec, items, lambda item: images.decoded(*item))


LOADER = Loader(
    name="spdl",
    summary="Meta's SPDL: FFmpeg, simplejpeg or OpenCV on threads without Python's lock",
    turns_by_scan=True,
    settings=Spdl,
    open=open_stream,
    space={
        "decoder": ("ffmpeg", "pillow", "opencv", "simplejpeg"),
        "concurrency": lambda cores: (None, *(n for n in thread_counts(cores) if n != cores)),
        "buffer_size": (3, 1, 8),
        "output": ("uint8", "float32"),
    },
    suites={"peers": ({"decoder": ["ffmpeg", "simplejpeg"]},)},
    stages=_stages,
    cuts_no_regions=lambda settings: None,
    package=PACKAGE,
)
