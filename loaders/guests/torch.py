"""torch: PyTorch's DataLoader, whose worker processes decode by a library of choice."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from feedbench.loaders.capabilities import UpperBound
from feedbench.loaders.contract import BatchSpec, Loader, Request, Stream
from feedbench.loaders.guests.images import Decoder, Images, Scaling
from feedbench.loaders.guests.map_style import (
    DataLoaderSettings,
    NumWorkers,
    PersistentWorkers,
    PinMemory,
    PrefetchFactor,
    open_map_style,
    worker_counts,
)
from feedbench.loaders.guests.package import Package
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.settings import Output
from feedbench.loaders.stages.pool import decoding_stages
from feedbench.loaders.stages.stage import Stages, sample, whole_files


class Torch(DataLoaderSettings):
    """Settings of `torch`."""

    decoder: Decoder = "pillow"
    num_workers: NumWorkers = None
    prefetch_factor: PrefetchFactor = 2
    persistent_workers: PersistentWorkers = True
    pin_memory: PinMemory = False
    decode: Scaling = "full"
    output: Output = "uint8"


def open_stream(request: Request, settings: Torch) -> Stream:
    """Batches whose files the worker processes read and decode."""
    images = partial(Images, request.manifest, request.spec, settings.decoder, settings.decode)
    return open_map_style("torch", request, settings, images)


def _stages(manifest: Manifest, spec: BatchSpec, settings: Torch) -> Stages:
    images = Images(manifest, spec, settings.decoder, settings.decode)

    def items() -> list[tuple[int, bytes, bytes]]:
        rows, files = sample(manifest)
        return list(zip(rows.tolist(), manifest.paths(rows), files, strict=True))

    reading = whole_files(manifest)
    stages = decoding_stages(
        reading, spec, settings.output, items, lambda item: images.decoded(*item)
    )
    return replace(stages, concurrency=settings.concurrency)


LOADER = Loader(
    name="torch",
    summary="PyTorch's DataLoader: worker processes that decode with Pillow, OpenCV or simplejpeg",
    settings=Torch,
    open=open_stream,
    space={
        "decoder": ("pillow", "opencv", "simplejpeg"),
        "num_workers": worker_counts,
        "decode": ("full", "scaled"),
        "prefetch_factor": (2, 4),
        "persistent_workers": (True, False),
        "output": ("uint8", "float32"),
    },
    suites={
        "peers": (
            {"decoder": ["pillow", "opencv", "simplejpeg"]},
            {"decoder": "simplejpeg", "decode": "scaled"},
        )
    },
    upper_bound=lambda settings: UpperBound("decode", scaled=settings.decode == "scaled"),
    stages=_stages,
    package=Package("torch", ("torch",)),
)
