"""torch: PyTorch's DataLoader, whose worker processes decode by a library of choice."""

from __future__ import annotations

from functools import partial

from feedbench.loaders.contract import Loader, Request, Stream
from feedbench.loaders.guests.images import Images
from feedbench.loaders.guests.map_style import (
    MAP_STYLE_SPACE,
    MapStyleSettings,
    decode_limit,
    open_map_style,
)
from feedbench.loaders.guests.package import Package
from feedbench.loaders.guests.stages import image_stages


class Torch(MapStyleSettings):
    """Settings of `torch`."""


def open_stream(request: Request, settings: Torch) -> Stream:
    """Batches whose files the worker processes read and decode."""
    images = partial(Images, request.manifest, request.spec, settings.decoder, settings.decode)
    return open_map_style("torch", request, settings, images)


LOADER = Loader(
    name="torch",
    summary="PyTorch's DataLoader: worker processes that decode with Pillow, OpenCV or simplejpeg",
    turns_by_scan=True,
    settings=Torch,
    open=open_stream,
    space=MAP_STYLE_SPACE,
    suites={
        "peers": (
            {"decoder": ["pillow", "opencv", "simplejpeg"]},
            {"decoder": "simplejpeg", "decode": "scaled"},
        )
    },
    upper_bound=decode_limit,
    stages=image_stages,
    cuts_no_regions=lambda settings: None,
    package=Package("torch", ("torch",)),
)
