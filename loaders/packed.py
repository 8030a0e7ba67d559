"""packed: images prepared once by `feedbench pack`, read at the speed of memory."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, NonNegativeInt, PositiveInt, field_validator

from feedbench.loaders.batch_pool import BatchPool
from feedbench.loaders.capabilities import UpperBound
from feedbench.loaders.contract import BatchSpec, Dtype, Loader, Settings, Stream
from feedbench.loaders.cores import usable_cores
from feedbench.loaders.faults import Faults
from feedbench.loaders.images.libjpeg import Decode
from feedbench.loaders.images.resize import one_thread_each
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Order
from feedbench.loaders.pack.pack import Pack, check_spec, read_about
from feedbench.loaders.pack.source import source_of
from feedbench.loaders.stages.packed import pack_stages
from feedbench.loaders.stages.stage import Stages

_PIECES = {"arrays": 8, "jpeg": 2}  # that a thread takes at a time: it waits for its lock less


class Packed(Settings):
    """Knobs of `packed`."""

    pack: str | None = Field(
        None, validate_default=True, description="the folder that feedbench pack made; needed"
    )
    num_threads: PositiveInt | None = Field(
        None, description="images read at once; one a core if none"
    )
    prefetch: NonNegativeInt = Field(
        2, description="batches made ahead, each costs its memory; 0 makes one when it is asked for"
    )
    decode: Decode = Field(
        "full",
        description="of packed JPEGs: full: Pillow's pixels; scaled: the fast inverse DCT, "
        "shrinking inside it where enough pixels remain: faster, other pixels",
    )
    output: Dtype = Field(
        "uint8",
        description="uint8: the range is applied on the device, a quarter of the bytes "
        "to move; float32: on the host, as in the classic pipeline",
    )

    @field_validator("pack")
    @classmethod
    def _is_named(cls, pack: str | None) -> str:
        if pack is None:
            raise ValueError(
                "no folder is named; make one by feedbench pack DATA OUT and give it by "
                "--set packed.pack=OUT"
            )
        return pack

    @property
    def image_dtype(self) -> Dtype:
        """Type of the batches' images."""
        return self.output


def open_stream(
    manifest: Manifest, spec: BatchSpec, settings: Packed, order: Order, faults: Faults
) -> Stream:
    """Batches read by a pool of threads."""
    one_thread_each()
    pack = Pack(_folder(settings))
    check_spec(pack, spec)
    pool = BatchPool(
        source_of(pack, manifest, spec, settings.decode),
        order,
        faults,
        manifest.labels,
        spec,
        settings.output,
        num_threads=settings.num_threads or usable_cores(),
        prefetch=settings.prefetch,
        piece=_PIECES[pack.about.kind],
    )

    def release() -> None:
        pool.close()
        pack.close()

    return Stream(pool.batches(), release, faults)


def _folder(settings: Packed) -> Path:
    return Path(str(settings.pack))


def _upper_bound(settings: Packed) -> UpperBound:
    if read_about(_folder(settings)).kind == "arrays":
        return UpperBound("copy")
    return UpperBound("decode", settings.decode == "scaled", settings.pack)


def _stages(manifest: Manifest, spec: BatchSpec, settings: Packed) -> Stages:
    return pack_stages(_folder(settings), manifest, spec, settings.decode, settings.output)


LOADER = Loader(
    name="packed",
    summary="images that feedbench pack prepared once: arrays read at memory speed, or small JPEGs",
    settings=Packed,
    open=open_stream,
    readable_by=(),
    space={
        "decode": ("full", "scaled"),
        "num_threads": (None, 1, 2, 4, 8),
        "prefetch": (2, 0, 4),
        "output": ("uint8", "float32"),
    },
    suites={"limits": ({},)},
    upper_bound=_upper_bound,
    stages=_stages,
)
