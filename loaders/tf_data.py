"""tf_data: images decoded, batched, cached and prefetched by tf.data, in TensorFlow's threads."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from feedbench.loaders.capabilities import UpperBound
from feedbench.loaders.code.tf_data import tf_data_code
from feedbench.loaders.contract import Autotuning, BatchSpec, Loader, Request, Stream
from feedbench.loaders.cores import thread_counts
from feedbench.loaders.file_table import FileTable
from feedbench.loaders.images.library_call import decode_image
from feedbench.loaders.images.tensorflow import Decoding
from feedbench.loaders.images.tensorflow_finish import augment, to_bytes, to_range
from feedbench.loaders.images.tensorflow_resize import resizer
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Order
from feedbench.loaders.row_cache import RowCache
from feedbench.loaders.row_file import RowFile
from feedbench.loaders.settings import (
    READ_DEPTHS,
    Cached,
    Output,
    PixelOutput,
    ReadDepth,
    filled_in_an_epoch,
    resized_in_cache,
)
from feedbench.loaders.stages.stage import Stages
from feedbench.loaders.stages.tensorflow import CacheWork, pool_concurrency, tensorflow_stages
from feedbench.loaders.tf_reading import SHARD_READS, Reads, read_address, read_shards, read_whole
from feedbench.loaders.tf_rows import Element, Stage, by_python, chain, chunks
from feedbench.loaders.tf_stream import batches

if TYPE_CHECKING:
    import tensorflow as tf

Autotune = Literal["autotune"]
_CHUNK = 1024  # rows that enter the graph with one call of Python


class TfData(PixelOutput, Cached):
    """Settings of `tf_data`."""

    num_parallel_calls: PositiveInt | Autotune = Field(
        "autotune", description="Images decoded in parallel; 1 keeps one core busy."
    )
    prefetch: NonNegativeInt | Autotune = Field(
        "autotune",
        description="Batches prepared ahead; each takes memory; 0: none until the trainer waits.",
    )
    cache: Literal["none", "encoded", "decoded", "disk"] = Field(
        "none",
        description="What to keep from the first epoch on: encoded: file bytes in memory; decoded: "
        "uint8 images in memory; disk: uint8 images in a file.",
    )
    cache_dir: str | None = Field(
        None, description="Folder for the file of cache='disk'; default: the temporary folder."
    )
    deterministic: bool = Field(
        True,
        description="false: an image that is ready may overtake one that is not; the order within "
        "and between batches is then no longer the seeded one.",
    )
    private_threads: PositiveInt | None = Field(
        None, description="Threads of a private pool; default: those of TensorFlow, one per core."
    )
    decode: Literal["image", "jpeg", "scaled"] = Field(
        "image",
        description="image: decode_image; jpeg: decode_jpeg; scaled: decode_jpeg with its fastest "
        "transform and upsampling, shrinking by 1/2, 1/4 or 1/8 where enough pixels remain: "
        "faster, other pixels.",
    )
    output: Output = "uint8"
    read_depth: ReadDepth = READ_DEPTHS[0]

    @model_validator(mode="after")
    def _check_cache_dir(self) -> Self:
        if self.cache_dir is not None and self.cache != "disk":
            raise ValueError(f"cache_dir needs cache 'disk', got {self.cache!r}")
        return self

    @property
    def autotuned(self) -> bool:
        """Whether anything is left to AUTOTUNE."""
        return "autotune" in (self.num_parallel_calls, self.prefetch)


def open_stream(request: Request, settings: TfData) -> Stream:
    """One iterator over all epochs: a new one per epoch would start autotuning from scratch."""
    pipeline = _Pipeline(request, settings)
    stream = batches(
        pipeline.dataset, request, pipeline.decoding, deterministic=settings.deterministic
    )
    return Stream(stream, pipeline.close, request.faults)


@contextmanager
def dataset_of(request: Request, settings: TfData) -> Iterator[tf.data.Dataset]:
    """The dataset behind the loader's batches, to ask tf.data itself about it."""
    pipeline = _Pipeline(request, settings)
    try:
        yield pipeline.dataset(request.order)
    finally:
        pipeline.close()


class _Pipeline:
    """The chain of stages from an order to batches, and the caches that outlive one dataset."""

    def __init__(self, request: Request, settings: TfData) -> None:
        self.decoding = Decoding(request.manifest, request.spec, settings.decode)
        self._manifest = request.manifest
        self._spec = request.spec
        self._settings = settings
        self._cuts = request.spec.augment.random_resized_crop is not None
        self._resizer = resizer(request.spec.as_resized())
        self._reads = Reads(settings.read_depth) if request.manifest.is_remote else None
        self._file_cache = FileTable() if settings.cache == "encoded" else None
        self._image_cache = _row_cache(request, settings)
        self._cached_from = request.order.first_full_step if self._image_cache is not None else 0

    def dataset(self, order: Order) -> tf.data.Dataset:
        """The batches of an order, elements with `image`, `row` and `draws`.

        positions → rows → read → decode → resize → batch → [cache] → augment → range → prefetch
        """
        decoded, cached = order, None
        if self._image_cache is not None:
            decoded, cached = order.split_at(self._cached_from)
        per_image, per_batch = self._finishing_stages()
        calls = _or_autotune(self._settings.num_parallel_calls)

        dataset = chunks(decoded, _CHUNK)
        # Python is called once per chunk, ahead: a call per image would take its lock for each.
        dataset = dataset.map(self._rows_and_paths(decoded)).prefetch(1).unbatch()
        if self._reads is not None and self._file_cache is None:
            # Two calls: the objects of the next one are read while those of this are decoded.
            dataset = dataset.batch(self._reads.depth).map(self._reads, 2).unbatch()
        elif self._manifest.in_shards and self._file_cache is None:
            dataset = dataset.batch(SHARD_READS).map(read_shards, calls).unbatch()
        # One map for all stages of an image: between maps, images would wait at their full size.
        dataset = dataset.map(chain(self._read, self._decode, self._resize, *per_image), calls)
        dataset = dataset.batch(order.batch_size)
        # Not tf.data's own cache(), which replays the order of its first pass.
        if cached is not None:
            dataset = dataset.map(self._store).concatenate(self._gathered(cached, calls))
        if per_batch:
            dataset = dataset.map(chain(*per_batch), calls)
        if self._settings.prefetch:
            dataset = dataset.prefetch(_or_autotune(self._settings.prefetch))
        return dataset.with_options(self._options())

    def close(self) -> None:
        """Free the caches; the iterator was freed with the generator that held it."""
        if self._reads is not None:
            self._reads.close()
        if self._image_cache is not None:
            self._image_cache.close()
        if self._file_cache is not None:
            self._file_cache.close(len(self._manifest))

    def _finishing_stages(self) -> tuple[list[Stage], list[Stage]]:
        """The last stages for each image, and those for each batch.

        Flips and range alone are cheaper per image, which is then still in the CPU's cache. All
        other augmentation is OpenCV's, and calls Python only once per batch. The image cache keeps
        pixels that are not augmented.
        """
        if self._image_cache is None and self._spec.augment.on_host.only_flips:
            return [self._augment, self._range], []
        return [self._round], [self._augment, self._range]

    def _gathered(self, order: Order, calls: int) -> tf.data.Dataset:
        """The batches of an order from the cache of decoded images."""
        dataset = chunks(order, order.batch_size)
        dataset = dataset.map(self._rows(order))
        return dataset.map(self._gather, num_parallel_calls=calls)

    def _rows_and_paths(self, order: Order) -> Stage:
        import tensorflow as tf

        codes = self.decoding.decode_paths
        types = {"row": tf.int64, "draws": tf.float32, "path": tf.string}
        if codes is not None:
            types["decode_path"] = tf.int8
        if self._cuts:
            types["crop"] = tf.float32

        def columns(begin: int, end: int) -> list[Any]:
            rows = order.rows(begin, end)
            paths = np.array(self._manifest.paths(rows), object)
            more: list[Any] = [] if codes is None else [codes[rows]]
            crops = order.crops(begin, end)
            more += [] if crops is None else [crops]
            return [rows, order.draws(begin, end), paths, *more]

        return by_python(order, _CHUNK, columns, types)

    def _rows(self, order: Order) -> Stage:
        import tensorflow as tf

        def columns(begin: int, end: int) -> list[Any]:
            return [order.rows(begin, end), order.draws(begin, end)]

        types = {"row": tf.int64, "draws": tf.float32}
        return by_python(order, order.batch_size, columns, types)

    def _read(self, element: Element) -> Element:
        """File bytes, from the disk or from the table in memory; those of shards are there."""
        if "data" in element:
            return element
        row, path = element["row"], element["path"]
        read = read_whole if self._manifest.are_files else read_address
        data = read(path) if self._file_cache is None else self._file_cache.read(row, path, read)
        return {**element, "data": data}

    def _decode(self, element: Element) -> Element:
        """File bytes → uint8 `[height, width, 3]`: the image, or its random-resized crop."""
        data, code = element["data"], element.get("decode_path")
        if self._cuts:
            image = self.decoding.region(data, code, element["crop"])
        else:
            image = self.decoding(data, code)
        return {"image": image, "row": element["row"], "draws": element["draws"]}

    def _resize(self, element: Element) -> Element:
        """To `[side, side, 3]`; float32, not rounded, if interpolated."""
        return {**element, "image": self._resizer(element["image"])}

    def _round(self, element: Element) -> Element:
        """To uint8: a quarter of the memory and of the bytes to copy."""
        return {**element, "image": to_bytes(element["image"])}

    def _augment(self, element: Element) -> Element:
        """The host's part of the augmentation."""
        return {**element, "image": augment(element["image"], element["draws"], self._spec)}

    def _range(self, element: Element) -> Element:
        """To the spec's value range, or to uint8 pixels if the device applies it."""
        if self._settings.output == "float32":
            return {**element, "image": to_range(element["image"], self._spec)}
        return self._round(element)

    def _store(self, element: Element) -> Element:
        """Write a batch into the cache of decoded images, and pass it on."""
        import tensorflow as tf

        assert self._image_cache is not None
        inputs = [element["row"], element["image"]]
        stored = tf.numpy_function(self._image_cache.put, inputs, [], stateful=True)
        with tf.control_dependencies([stored]):
            return {**element, "image": tf.identity(element["image"])}

    def _gather(self, element: Element) -> Element:
        """Take a batch from the cache of decoded images."""
        import tensorflow as tf

        assert self._image_cache is not None
        side = self._spec.image_size
        images = tf.numpy_function(
            self._image_cache.take, [element["row"]], tf.uint8, stateful=True
        )
        return {**element, "image": tf.ensure_shape(images, (None, side, side, 3))}

    def _options(self) -> Any:
        import tensorflow as tf

        options = tf.data.Options()
        options.deterministic = self._settings.deterministic
        # Its thread sleeps for up to 10 s at a time, and the end of an iterator waits for it.
        options.autotune.enabled = self._settings.autotuned
        if self._settings.private_threads is not None:
            options.threading.private_threadpool_size = self._settings.private_threads
        return options


def _or_autotune(value: int | Autotune) -> int:
    import tensorflow as tf

    return int(tf.data.AUTOTUNE) if value == "autotune" else value


def _row_cache(request: Request, settings: TfData) -> RowCache | RowFile | None:
    rows, side = len(request.manifest), request.spec.image_size
    if settings.cache == "decoded":
        return RowCache.in_memory(rows, side)
    if settings.cache == "disk":
        return RowFile(rows, side, _cache_folder(settings))
    return None


def _cache_folder(settings: TfData) -> Path:
    return Path(settings.cache_dir or tempfile.gettempdir())


def _fixed(settings: TfData, cores: int) -> list[dict[str, Any]]:
    """Settings that replace AUTOTUNE: one or two calls per core, and a prefetch of 2."""
    every = ({"num_parallel_calls": calls, "prefetch": 2} for calls in (cores, 2 * cores))
    left = [
        {name: value for name, value in one.items() if getattr(settings, name) == "autotune"}
        for one in every
    ]
    return [one for index, one in enumerate(left) if one and one not in left[:index]]


def _upper_bound(settings: TfData) -> UpperBound:
    is_copied = settings.cache in ("decoded", "disk")
    return UpperBound("copy") if is_copied else UpperBound("decode", settings.decode == "scaled")


def _stages(manifest: Manifest, spec: BatchSpec, settings: TfData) -> Stages:
    calls = None if settings.num_parallel_calls == "autotune" else settings.num_parallel_calls
    concurrency = pool_concurrency(calls, settings.private_threads, bool(settings.prefetch))
    if settings.cache in ("decoded", "disk"):
        folder = _cache_folder(settings) if settings.cache == "disk" else None
        work = CacheWork(manifest, spec, settings.output, folder)
        return Stages(None, None, None, work.batch_copy, True, concurrency)
    decode, output, reads = settings.decode, settings.output, settings.cache == "none"
    return tensorflow_stages(manifest, spec, decode, output, concurrency, reads=reads)


LOADER = Loader(
    name="tf_data",
    summary="tf.data: parallel decoding, prefetching and caching inside TensorFlow's own threads",
    settings=TfData,
    open=open_stream,
    is_default=True,
    readable_by=("pillow", "tensorflow"),  # what TensorFlow cannot read goes to Pillow
    space={
        "cache": ("none", "decoded", "encoded", "disk"),
        "decode": ("image", "jpeg", "scaled"),
        "num_parallel_calls": lambda cores: ("autotune", *thread_counts(cores)),
        "prefetch": ("autotune", 0, 2, 8),
        "private_threads": lambda cores: (None, cores),
        "deterministic": (True, False),
        "output": ("uint8", "float32"),
        "read_depth": READ_DEPTHS,
    },
    object_settings=("read_depth",),
    suites={
        "quick": ({"num_parallel_calls": 1, "prefetch": 0}, {}, {"cache": "decoded"}),
        "standard": (
            {"num_parallel_calls": 1, "prefetch": 0},
            {"num_parallel_calls": 1},
            {"prefetch": [0, "autotune", 4]},
            {"decode": "jpeg"},
            {"output": "float32"},
            {"private_threads": 2},
            {"cache": ["encoded", "decoded", "disk"]},
        ),
        "limits": ({"decode": ["image", "scaled"]},),
        "peers": ({},),
    },
    upper_bound=_upper_bound,
    stages=_stages,
    cannot_share=filled_in_an_epoch,
    cuts_no_regions=resized_in_cache,
    autotuning=Autotuning(dataset_of, _fixed),
    library_call=decode_image,
    code=tf_data_code,
)
