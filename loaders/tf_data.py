"""tf.data: read, decode, resize, batch, with every knob that people guess at."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from feedbench.loaders.augment import NEUTRAL
from feedbench.loaders.capabilities import UpperBound
from feedbench.loaders.contract import Autotuning, BatchSpec, Dtype, Loader, Settings, Stream
from feedbench.loaders.faults import Faults
from feedbench.loaders.images.decode_path import Ways
from feedbench.loaders.images.library_call import decode_image
from feedbench.loaders.images.tensorflow import Decoding, changed, resizer, to_bytes, to_range
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Order
from feedbench.loaders.row_cache import RowCache
from feedbench.loaders.stages.stage import Stages, whole_files
from feedbench.loaders.stages.tensorflow import CacheWork, TensorFlowWork
from feedbench.loaders.tf_stream import batches

if TYPE_CHECKING:
    import tensorflow as tf

Autotune = Literal["autotune"]
_PIECE = 1024  # rows that enter the graph in one call of Python


class TfData(Settings):
    """Knobs of `tf_data`."""

    num_parallel_calls: PositiveInt | Autotune = Field(
        "autotune", description="images decoded at once; 1 keeps one core busy"
    )
    prefetch: NonNegativeInt | Autotune = Field(
        "autotune",
        description="batches made ahead, each costs its memory; 0 makes a batch only "
        "when the trainer waits for it",
    )
    cache: Literal["none", "encoded", "decoded", "disk"] = Field(
        "none",
        description="kept from the first epoch on: file bytes in memory, uint8 images in "
        "memory, or uint8 images in a file",
    )
    cache_dir: str | None = Field(
        None, description="where cache='disk' puts its file; the system's temporary folder if none"
    )
    deterministic: bool = Field(
        True,
        description="false lets an image that is ready overtake one that is not; the order "
        "within and between batches is then no longer the seeded one",
    )
    private_threads: PositiveInt | None = Field(
        None,
        description="threads of this pipeline's own, instead of one a core shared with the trainer",
    )
    decode: Literal["image", "jpeg", "scaled"] = Field(
        "image",
        description="decode_image; decode_jpeg; or decode_jpeg with its fastest transform and "
        "upsampling, shrinking by 1/2, 1/4 or 1/8 where enough pixels remain: other pixels",
    )
    output: Dtype = Field(
        "uint8",
        description="uint8: the range is applied on the device, a quarter of the bytes "
        "to move; float32: on the host, as in the classic pipeline",
    )

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.cache_dir is not None and self.cache != "disk":
            raise ValueError(f"cache_dir needs cache 'disk', got {self.cache!r}")
        return self

    @property
    def autotuned(self) -> bool:
        """Whether anything is left to AUTOTUNE."""
        return "autotune" in (self.num_parallel_calls, self.prefetch)

    @property
    def image_dtype(self) -> Dtype:
        """Type of the batches' images."""
        return self.output

    @property
    def fills_cache(self) -> bool:  # type: ignore[override]
        """Whether the first epoch is slower than the rest because it fills a cache."""
        return self.cache != "none"


def open_stream(
    manifest: Manifest, spec: BatchSpec, settings: TfData, order: Order, faults: Faults
) -> Stream:
    """One iterator over all epochs: a new one an epoch would start autotuning from scratch."""
    pipeline = _Pipeline(manifest, spec, settings, order)
    stream = batches(
        pipeline.batches,
        order,
        manifest,
        spec,
        pipeline.decoding,
        faults,
        deterministic=settings.deterministic,
    )
    return Stream(stream, pipeline.close, faults)


@contextmanager
def dataset_of(
    manifest: Manifest, spec: BatchSpec, settings: TfData, order: Order
) -> Iterator[tf.data.Dataset]:
    """The dataset behind the loader's batches, for those who ask tf.data itself about it."""
    pipeline = _Pipeline(manifest, spec, settings, order)
    try:
        yield pipeline.batches(order)
    finally:
        pipeline.close()


class _Pipeline:
    """The dataset's stages for one manifest, spec and settings, and the cache they share."""

    def __init__(self, manifest: Manifest, spec: BatchSpec, settings: TfData, order: Order) -> None:
        self.manifest = manifest
        self.spec = spec
        self.settings = settings
        self.calls = _autotuned(settings.num_parallel_calls)
        self.decoding = Decoding(manifest, spec, settings.decode)
        self.resize = resizer(spec)
        self.files = _FileBytes() if settings.cache == "encoded" else None
        self.cache = _row_cache(manifest, spec, settings)
        self.cached_from = order.first_full_step

    def batches(self, order: Order) -> tf.data.Dataset:
        """Elements `(images, rows, draws)`, one a batch."""
        import tensorflow as tf

        if self.cache is not None:
            first, later = order.split_at(self.cached_from)
            dataset = self._live(first, self._decoded).map(self._kept)
            dataset = dataset.map(self._finished, num_parallel_calls=self.calls)
            dataset = dataset.concatenate(self._from_cache(later))
        elif self.spec.augment.on_host.only_flips:
            dataset = self._live(order, self._image)
        else:
            dataset = self._live(order, self._decoded)
            dataset = dataset.map(self._finished, num_parallel_calls=self.calls)
        if self.settings.prefetch:
            dataset = dataset.prefetch(_autotuned(self.settings.prefetch))
        options = tf.data.Options()
        options.deterministic = self.settings.deterministic
        # Its thread sleeps for up to 10 s at a time, and the end of an iterator waits for it.
        options.autotune.enabled = self.settings.autotuned
        if self.settings.private_threads is not None:
            options.threading.private_threadpool_size = self.settings.private_threads
        return dataset.with_options(options)

    def close(self) -> None:
        """Free the caches; the iterator went with the generator that held it."""
        if self.cache is not None:
            self.cache.close()
        if self.files is not None:
            self.files.close(len(self.manifest))

    def _read(self, row: Any, path: Any) -> Any:
        import tensorflow as tf

        return tf.io.read_file(path) if self.files is None else self.files.read(row, path)

    def _live(self, order: Order, image: Any) -> tf.data.Dataset:
        dataset = _files(self.manifest, order, self.decoding.hows)
        dataset = dataset.map(image, num_parallel_calls=self.calls)
        return dataset.batch(order.batch_size)

    def _from_cache(self, order: Order) -> tf.data.Dataset:
        cache = self.cache
        assert cache is not None

        def taken(rows: Any, draws: Any) -> Any:
            import tensorflow as tf

            images = tf.numpy_function(cache.take, [rows], tf.uint8, stateful=True)
            side = self.spec.image_size
            return tf.ensure_shape(images, (None, side, side, 3)), rows, draws

        dataset = _rows_and_draws(order).map(taken, num_parallel_calls=self.calls)
        return dataset.map(self._finished, num_parallel_calls=self.calls)

    def _picture(self, row: Any, path: Any, how: Any) -> Any:
        """Pixels of 0 to 255, resized."""
        return self.resize(self.decoding(self._read(row, path), how))

    def _decoded(self, row: Any, path: Any, draw: Any, how: Any = None) -> Any:
        return to_bytes(self._picture(row, path, how)), row, draw

    def _image(self, row: Any, path: Any, draw: Any, how: Any = None) -> Any:
        return self._finished(self._picture(row, path, how), row, draw)

    def _finished(self, images: Any, rows: Any, draws: Any) -> Any:
        images = changed(images, draws, self.spec)
        if self.settings.output == "float32":
            return to_range(images, self.spec), rows, draws
        return to_bytes(images), rows, draws

    def _kept(self, images: Any, rows: Any, draws: Any) -> Any:
        import tensorflow as tf

        assert self.cache is not None
        kept = tf.numpy_function(self.cache.put, [rows, images], [], stateful=True)
        with tf.control_dependencies([kept]):
            return tf.identity(images), rows, draws


def _autotuned(value: int | Autotune) -> int:
    import tensorflow as tf

    return int(tf.data.AUTOTUNE) if value == "autotune" else value


class _FileBytes:
    """Files read once, then given from a table in memory, inside the graph."""

    def __init__(self) -> None:
        import tensorflow as tf

        self._table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.string, default_value="")

    def read(self, row: Any, path: Any) -> Any:
        """The bytes of a row's file."""
        import tensorflow as tf

        known = self._table.lookup(row)
        remembered = tf.strings.length(known) > 0
        return tf.cond(remembered, lambda: known, lambda: self._first(row, path))

    def close(self, rows: int) -> None:
        """Forget all; the graph may keep the table itself alive."""
        import tensorflow as tf

        self._table.remove(tf.range(rows, dtype=tf.int64))

    def _first(self, row: Any, path: Any) -> Any:
        import tensorflow as tf

        data = tf.io.read_file(path)
        with tf.control_dependencies([self._table.insert(row, data)]):
            return tf.identity(data)


def _row_cache(manifest: Manifest, spec: BatchSpec, settings: TfData) -> RowCache | None:
    if settings.cache == "decoded":
        return RowCache.in_memory(len(manifest), spec.image_size)
    if settings.cache == "disk":
        return RowCache.in_file(len(manifest), spec.image_size, _cache_folder(settings))
    return None


def _cache_folder(settings: TfData) -> Path:
    return Path(settings.cache_dir or tempfile.gettempdir())


def _files(manifest: Manifest, order: Order, hows: Ways | None) -> tf.data.Dataset:
    """One image each: `(row, path, draw)` in order, and `how` where rows are not all decoded alike.

    Python is called once for many of them.
    """
    import tensorflow as tf

    def files(begin: int, end: int) -> list[Any]:
        rows = order.rows(begin, end)
        paths = np.array(manifest.paths(rows), object)
        given = [rows, paths, order.draws(begin, end)]
        return given if hows is None else [*given, hows[rows]]

    types = [tf.int64, tf.string, tf.float32, *([] if hows is None else [tf.int8])]
    return _pieces(order, _PIECE, files, types).unbatch()


def _rows_and_draws(order: Order) -> tf.data.Dataset:
    """Vectors `(rows, draws)`, one pair a batch."""
    import tensorflow as tf

    def pair(begin: int, end: int) -> list[Any]:
        return [order.rows(begin, end), order.draws(begin, end)]

    return _pieces(order, order.batch_size, pair, [tf.int64, tf.float32])


def _pieces(
    order: Order, size: int, give: Callable[[int, int], list[Any]], types: list[Any]
) -> tf.data.Dataset:
    """What Python gives for each `size` positions of an order, vectors; draws of float32 `[_, 10]`.

    Not `from_generator`: since Python 3.11 that makes malloc map new memory for whatever is larger
    than 128 kB, in the whole process and from then on. Each picture then cost its pages anew.
    """
    import tensorflow as tf

    def piece(number: Any) -> list[Any]:
        return give(*order.piece(int(number), size))

    def made(number: Any) -> tuple[Any, ...]:
        values = tf.numpy_function(piece, [number], types)
        for value, kind in zip(values, types, strict=True):
            value.set_shape((None, len(NEUTRAL)) if kind == tf.float32 else (None,))
        return tuple(values)

    count = order.count_of(size)
    numbers = tf.data.Dataset.counter() if count is None else tf.data.Dataset.range(count)
    return numbers.map(made)


def _fixed(settings: TfData, cores: int) -> list[dict[str, Any]]:
    """One and two calls per core, and two batches ahead, of what is left to AUTOTUNE."""
    every = ({"num_parallel_calls": calls, "prefetch": 2} for calls in (cores, 2 * cores))
    left = [
        {name: value for name, value in one.items() if getattr(settings, name) == "autotune"}
        for one in every
    ]
    return [one for index, one in enumerate(left) if one and one not in left[:index]]


def _upper_bound(settings: TfData) -> UpperBound:
    if settings.cache in ("decoded", "disk"):
        return UpperBound("copy")
    return UpperBound("decode", scaled=settings.decode == "scaled")


def _stages(manifest: Manifest, spec: BatchSpec, settings: TfData) -> Stages:
    if settings.cache in ("decoded", "disk"):
        folder = _cache_folder(settings) if settings.cache == "disk" else None
        cache = CacheWork(manifest, spec, settings.output, folder)
        return Stages(None, assemble=cache.assemble, assembles_in_parallel=True)
    work = TensorFlowWork(manifest, spec, settings.decode, settings.output)
    reading = whole_files(manifest) if settings.cache == "none" else None
    return Stages(reading, work.decode, work.transform, work.assemble)


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
        "num_parallel_calls": ("autotune", 1, 2, 4, 8),
        "prefetch": ("autotune", 0, 2, 8),
        "private_threads": (None, 2),
        "deterministic": (True, False),
        "output": ("uint8", "float32"),
    },
    suites={
        "quick": ({"num_parallel_calls": 1, "prefetch": 0}, {}, {"cache": "decoded"}),
        "standard": (
            {"num_parallel_calls": 1, "prefetch": 0},
            {"num_parallel_calls": 1},
            {"prefetch": 0},
            {"prefetch": ["autotune", 4]},
            {"decode": "jpeg"},
            {"output": "float32"},
            {"private_threads": 2},
            {"cache": ["encoded", "decoded", "disk"]},
        ),
        "limits": ({"decode": ["image", "scaled"]},),
    },
    upper_bound=_upper_bound,
    stages=_stages,
    autotuning=Autotuning(dataset_of, _fixed),
    library_call=decode_image,
)
