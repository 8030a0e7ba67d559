"""turbo: threads over libjpeg-turbo, each image resized straight into the batch's own memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal, Self

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from feedbench.loaders.batch_pool import BatchPool, Source
from feedbench.loaders.cached_source import InMemory, InPack, Keeping
from feedbench.loaders.capabilities import UpperBound
from feedbench.loaders.contract import BatchSpec, Dtype, Loader, Settings, Stream
from feedbench.loaders.cores import usable_cores
from feedbench.loaders.faults import Faults
from feedbench.loaders.images.libjpeg import READABLE_BY, Decode, LiveImages
from feedbench.loaders.images.resize import one_thread_each
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Order
from feedbench.loaders.pack.pack import Pack, arrays_of, is_whole, pack_folder
from feedbench.loaders.pack.source import Arrays
from feedbench.loaders.pack.writer import PackWriter
from feedbench.loaders.stages.packed import array_stages
from feedbench.loaders.stages.pool import gathering_stages, live_stages
from feedbench.loaders.stages.stage import Stages

# Images that a thread takes at a time, decoded or kept: with more it waits for its lock less often.
_LIVE_PIECE, _KEPT_PIECE = 2, 16


class Turbo(Settings):
    """Knobs of `turbo`."""

    num_threads: PositiveInt | None = Field(
        None, description="images decoded at once; one a core if none"
    )
    prefetch: NonNegativeInt = Field(
        2, description="batches made ahead, each costs its memory; 0 makes one when it is asked for"
    )
    decode: Decode = Field(
        "full",
        description="full: Pillow's pixels; scaled: the fast inverse DCT, shrinking by 1/2, 1/4 "
        "or 1/8 inside it where enough pixels remain: faster, other pixels",
    )
    cache: Literal["none", "decoded", "packed"] = Field(
        "none",
        description="decoded images kept from the first epoch on: in memory, or in a pack that "
        "outlives the run; a pack that a killed run left is gone on with",
    )
    pack_dir: str | None = Field(
        None, description="where cache='packed' keeps its packs, each in a folder of its own"
    )
    output: Dtype = Field(
        "uint8",
        description="uint8: the range is applied on the device, a quarter of the bytes "
        "to move; float32: on the host, as in the classic pipeline",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.cache == "packed") != (self.pack_dir is not None):
            raise ValueError("cache 'packed' and pack_dir go together, got one without the other")
        return self

    @property
    def image_dtype(self) -> Dtype:
        """Type of the batches' images."""
        return self.output

    @property
    def fills_cache(self) -> bool:  # type: ignore[override]
        """Whether the first epoch is slower than the rest because it fills a cache."""
        return self.cache != "none"


def open_stream(
    manifest: Manifest, spec: BatchSpec, settings: Turbo, order: Order, faults: Faults
) -> Stream:
    """Batches made by a pool of threads."""
    one_thread_each()
    source, close = _source(manifest, spec, settings)
    pool = BatchPool(
        source,
        order,
        faults,
        manifest.labels,
        spec,
        settings.output,
        num_threads=settings.num_threads or usable_cores(),
        prefetch=settings.prefetch,
        piece=_LIVE_PIECE if settings.cache == "none" else _KEPT_PIECE,
    )

    def release() -> None:
        pool.close()
        close()

    return Stream(pool.batches(), release, faults)


def _source(
    manifest: Manifest, spec: BatchSpec, settings: Turbo
) -> tuple[Source, Callable[[], None]]:
    """Where the pictures come from, and what frees it."""
    live = LiveImages(manifest, spec, settings.decode)
    if settings.cache == "none":
        return live, lambda: None
    if settings.cache == "decoded":
        memory = InMemory(len(manifest), spec.image_size)
        return Keeping(live, memory), memory.close
    about = arrays_of(manifest, spec, settings.decode)
    folder = pack_folder(Path(settings.pack_dir or ""), about)
    if is_whole(folder):
        pack = Pack(folder)
        return Arrays(pack, manifest), pack.close
    store = InPack(PackWriter(folder, about, manifest))
    return Keeping(live, store), store.close


def _upper_bound(settings: Turbo) -> UpperBound:
    if settings.cache != "none":
        return UpperBound("copy")
    return UpperBound("decode", scaled=settings.decode == "scaled")


def _stages(manifest: Manifest, spec: BatchSpec, settings: Turbo) -> Stages:
    if settings.cache == "decoded":
        return gathering_stages(len(manifest), spec, settings.output)
    if settings.pack_dir is not None:
        return array_stages(manifest, spec, Path(settings.pack_dir), settings.output)
    return live_stages(manifest, spec, settings.decode, settings.output)


LOADER = Loader(
    name="turbo",
    summary="libjpeg-turbo on a thread a core, straight into the batch: live decoding at its limit",
    settings=Turbo,
    open=open_stream,
    readable_by=READABLE_BY,
    space={
        "cache": ("none", "decoded"),
        "decode": ("full", "scaled"),
        "num_threads": (None, 1, 2, 4, 8),
        "prefetch": (2, 0, 4),
        "output": ("uint8", "float32"),
    },
    suites={
        "quick": ({}, {"cache": "decoded"}),
        "standard": ({"cache": ["none", "decoded"]}, {"output": "float32"}),
        "limits": ({"decode": ["full", "scaled"]}, {"cache": "decoded"}),
    },
    upper_bound=_upper_bound,
    stages=_stages,
)
