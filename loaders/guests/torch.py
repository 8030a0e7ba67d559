"""torch: PyTorch's DataLoader, whose worker processes decode by a library of choice."""

from __future__ import annotations

from functools import partial

from feedbench.loaders.contract import Loader, Request, Stream
from feedbench.loaders.guests.images import Decoder, Images, Scaling
from feedbench.loaders.guests.map_style import (
    DecodingSettings,
    NumWorkers,
    PersistentWorkers,
    PinMemory,
    PrefetchFactor,
    decode_limit,
    open_map_style,
    worker_counts,
)
from feedbench.loaders.guests.package import Package
from feedbench.loaders.guests.stages import image_stages
from feedbench.loaders.settings import Output


class Torch(DecodingSettings):
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
    upper_bound=decode_limit,
    stages=image_stages,
    package=Package("torch", ("torch",)),
)
