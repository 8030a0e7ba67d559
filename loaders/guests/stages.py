"""The parts of a loader whose worker processes read, decode and resize file by file."""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

from feedbench.loaders.augment.regions import Crops
from feedbench.loaders.contract import BatchSpec, Dtype
from feedbench.loaders.guests.images import Images
from feedbench.loaders.images.libjpeg_turbo import Decode
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.stages.draws import crop_of, drawn_crops
from feedbench.loaders.stages.pool import decoding_stages
from feedbench.loaders.stages.stage import Concurrency, Stages, sample, whole_files

Item = tuple[int, bytes, bytes, Crops | None]  # row, address, bytes, crop


class _Decoding(Protocol):
    """Settings of a guest that decodes by one of the libraries."""

    @property
    def decoder(self) -> str: ...

    @property
    def decode(self) -> Decode: ...

    @property
    def output(self) -> Dtype: ...

    @property
    def concurrency(self) -> Concurrency: ...


def image_stages(manifest: Manifest, spec: BatchSpec, settings: _Decoding) -> Stages:
    """Return stages that read the files, and decode and resize them as the workers do."""
    images = Images(manifest, spec, settings.decoder, settings.decode)
    stages = decoded_stages(manifest, spec, images, settings.output)
    return replace(stages, concurrency=settings.concurrency)


def decoded_stages(manifest: Manifest, spec: BatchSpec, images: Images, output: Dtype) -> Stages:
    """Return the same stages for given images, with no word on how workers share them."""

    def items() -> list[Item]:
        return sampled_files(manifest, spec)

    return decoding_stages(
        whole_files(manifest), spec, output, items, lambda item: images.decoded(*item)
    )


def sampled_files(manifest: Manifest, spec: BatchSpec) -> list[Item]:
    """Return a random sample of files, and what to cut out of each image."""
    rows, files = sample(manifest)
    crops = drawn_crops(len(rows), spec)
    found = zip(rows.tolist(), manifest.paths(rows), files, strict=True)
    return [(*one, crop_of(crops, index)) for index, one in enumerate(found)]
