"""packed: images prepared once by `feedbench pack`, read at the speed of memory."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from pydantic import Field, field_validator

from feedbench.loaders.batch_pool import pool_stream
from feedbench.loaders.capabilities import UpperBound
from feedbench.loaders.closing import closed_on_error
from feedbench.loaders.contract import BatchSpec, Loader, Request, Stream
from feedbench.loaders.errors import SettingsError
from feedbench.loaders.images.libjpeg_turbo import Decode
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.pack.about import check_spec, read_about
from feedbench.loaders.pack.pack import Pack
from feedbench.loaders.pack.source import source_of
from feedbench.loaders.settings import NumThreads, Output, Prefetch, Threaded, num_threads
from feedbench.loaders.stages.packed import pack_stages
from feedbench.loaders.stages.stage import Concurrency, Stages

_CHUNKS = {"arrays": 32, "jpeg": 16}  # most images that a thread takes at a time


class Packed(Threaded):
    """Settings of `packed`."""

    pack: str | None = Field(
        None,
        validate_default=True,
        description="Folder written by feedbench pack; required.",
    )
    num_threads: NumThreads = None
    prefetch: Prefetch = 2
    decode: Decode = Field(
        "full",
        description="How packed JPEGs are decoded. full: Pillow's pixels; scaled: the fast inverse "
        "DCT, which also shrinks where enough pixels remain: faster, other pixels.",
    )
    output: Output = "uint8"

    @field_validator("pack")
    @classmethod
    def _is_given(cls, pack: str | None) -> str:
        if pack is None:
            raise ValueError(
                "no folder given; create one with feedbench pack DATA OUT and pass --set "
                "packed.pack=OUT"
            )
        return pack

    @property
    def fills_cache(self) -> bool:
        """Whether the first epoch is slower: each row of arrays is checked when first read."""
        with suppress(SettingsError):
            return read_about(_folder(self)).kind == "arrays"
        return False


def open_stream(request: Request, settings: Packed) -> Stream:
    """Batches filled by a pool of threads."""
    with closed_on_error(Pack(_folder(settings))) as pack:
        check_spec(pack.folder, pack.about, request.spec)
        source = source_of(pack, request.manifest, request.spec, settings.decode)
        chunk = _CHUNKS[pack.about.kind]
        return pool_stream(source, request, settings, chunk=chunk, close=pack.close)


def _folder(settings: Packed) -> Path:
    return Path(str(settings.pack))


def _upper_bound(settings: Packed) -> UpperBound:
    if read_about(_folder(settings)).kind == "arrays":
        return UpperBound("copy")
    return UpperBound("decode", settings.decode == "scaled", settings.pack)


def _cuts_no_regions(settings: Packed) -> str | None:
    if read_about(_folder(settings)).kind == "jpeg":
        return None
    return "a pack of arrays holds images that are resized already, one of JPEGs does not"


def _stages(manifest: Manifest, spec: BatchSpec, settings: Packed) -> Stages:
    stages = pack_stages(_folder(settings), manifest, spec, settings.decode, settings.output)
    return replace(stages, concurrency=Concurrency("threads", settings.num_threads))


LOADER = Loader(
    name="packed",
    summary="images that feedbench pack prepared once: arrays read at memory speed, or small JPEGs",
    settings=Packed,
    open=open_stream,
    readable_by=(),
    space={
        "decode": ("full", "scaled"),
        "num_threads": num_threads,
        "prefetch": (2, 0, 4),
        "output": ("uint8", "float32"),
    },
    suites={"limits": ({},)},
    upper_bound=_upper_bound,
    stages=_stages,
    cuts_no_regions=_cuts_no_regions,
)
