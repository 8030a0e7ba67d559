"""turbo: threads over libjpeg-turbo, each image resized straight into the batch's own memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator

from feedbench.loaders.batch_pool import Source, pool_stream
from feedbench.loaders.cached_source import CachedSource, MemoryStore, PackStore
from feedbench.loaders.capabilities import UpperBound
from feedbench.loaders.closing import closed_on_error
from feedbench.loaders.contract import BatchSpec, Loader, Request, Stream
from feedbench.loaders.images.libjpeg_turbo import READABLE_BY, Decode, LiveImages
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.pack.about import arrays_of, is_whole, pack_folder
from feedbench.loaders.pack.pack import Pack
from feedbench.loaders.pack.source import Arrays
from feedbench.loaders.pack.writer import PackWriter
from feedbench.loaders.remote.ahead import ReadAhead
from feedbench.loaders.settings import (
    READ_DEPTHS,
    Cached,
    NumThreads,
    Output,
    Prefetch,
    ReadDepth,
    Threaded,
    num_threads,
    resized_in_cache,
)
from feedbench.loaders.stages.packed import array_stages
from feedbench.loaders.stages.pool import gathering_stages, live_stages
from feedbench.loaders.stages.stage import Concurrency, Stages

_DECODED_CHUNK, _CACHED_CHUNK = 8, 32  # most images that a thread takes at a time


class Turbo(Threaded, Cached):
    """Settings of `turbo`."""

    num_threads: NumThreads = None
    prefetch: Prefetch = 2
    decode: Decode = Field(
        "full",
        description="full: Pillow's pixels; scaled: the fast inverse DCT, which also shrinks by "
        "1/2, 1/4 or 1/8 where enough pixels remain: faster, other pixels.",
    )
    cache: Literal["none", "decoded", "packed"] = Field(
        "none",
        description="Keep decoded images from the first epoch on: in memory, or in a pack that "
        "outlives the run; an incomplete pack from a killed run is resumed.",
    )
    pack_dir: str | None = Field(
        None, description="Folder for cache='packed'; each pack gets a subfolder of its own."
    )
    output: Output = "uint8"
    read_depth: ReadDepth = READ_DEPTHS[0]

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.cache == "packed") != (self.pack_dir is not None):
            raise ValueError("cache 'packed' and pack_dir go together, got one without the other")
        return self


def open_stream(request: Request, settings: Turbo) -> Stream:
    """Batches filled by a pool of threads."""
    chunk = _DECODED_CHUNK if settings.cache == "none" else _CACHED_CHUNK
    reads = ReadAhead(settings.read_depth)
    files = LiveImages(request.manifest, request.spec, settings.decode, reads)
    if settings.cache == "none":
        return pool_stream(files, request, settings, chunk=chunk, stop=files.stop)
    with closed_on_error(_open_cache(request, settings)) as cache:
        source = _cached(files, cache, request)
        return pool_stream(
            source, request, settings, chunk=chunk, stop=files.stop, close=cache.close
        )


def _open_cache(request: Request, settings: Turbo) -> MemoryStore | PackStore | Pack:
    """Where images are kept: in memory, in a pack that is filled, or in one that is complete."""
    manifest, spec = request.manifest, request.spec
    if settings.cache == "decoded":
        return MemoryStore(len(manifest), spec.image_size)
    about = arrays_of(manifest, spec, settings.decode)
    folder = pack_folder(Path(settings.pack_dir or ""), about)
    if is_whole(folder):
        return Pack(folder)
    # Images that an earlier part of this run dropped are not asked for again.
    return PackStore(PackWriter(folder, about, manifest), failed=request.faults.dropped)


def _cached(files: LiveImages, cache: MemoryStore | PackStore | Pack, request: Request) -> Source:
    if isinstance(cache, Pack):
        return Arrays(cache, request.manifest)
    return CachedSource(files, cache)


def _upper_bound(settings: Turbo) -> UpperBound:
    if settings.cache != "none":
        return UpperBound("copy")
    return UpperBound("decode", scaled=settings.decode == "scaled")


def _stages(manifest: Manifest, spec: BatchSpec, settings: Turbo) -> Stages:
    concurrency = Concurrency("threads", settings.num_threads)
    return replace(_parts(manifest, spec, settings), concurrency=concurrency)


def _parts(manifest: Manifest, spec: BatchSpec, settings: Turbo) -> Stages:
    if settings.cache == "decoded":
        return gathering_stages(len(manifest), spec, settings.output)
    if settings.pack_dir is not None:
        return array_stages(manifest, spec, Path(settings.pack_dir), settings.output)
    return live_stages(manifest, spec, settings.decode, settings.output)


LOADER = Loader(
    name="turbo",
    summary="libjpeg-turbo on one thread per core, straight into the batch: decoding at its limit",
    turns_by_scan=True,
    settings=Turbo,
    open=open_stream,
    readable_by=READABLE_BY,
    space={
        "cache": ("none", "decoded"),
        "decode": ("full", "scaled"),
        "num_threads": num_threads,
        "prefetch": (2, 0, 4),
        "output": ("uint8", "float32"),
        "read_depth": READ_DEPTHS,
    },
    object_settings=("read_depth",),
    suites={
        "quick": ({}, {"cache": "decoded"}),
        "standard": ({"cache": ["none", "decoded"]}, {"output": "float32"}),
        "limits": ({"decode": ["full", "scaled"]}, {"cache": "decoded"}),
        "peers": ({"decode": ["full", "scaled"]},),
    },
    upper_bound=_upper_bound,
    stages=_stages,
    cuts_no_regions=resized_in_cache,
)
