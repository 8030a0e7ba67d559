"""The tf.data pipeline of `tf_data`: from an order to batches, with its caches."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from feedbench.loaders.contract import Request
from feedbench.loaders.file_table import FileTable
from feedbench.loaders.images.tensorflow import Decoding
from feedbench.loaders.images.tensorflow_finish import augment, to_bytes, to_range
from feedbench.loaders.images.tensorflow_resize import resizer
from feedbench.loaders.order import Order
from feedbench.loaders.row_cache import RowCache
from feedbench.loaders.row_file import RowFile
from feedbench.loaders.settings import or_autotune
from feedbench.loaders.tf_reading import SHARD_READS, Reads, read_address, read_shards, read_whole
from feedbench.loaders.tf_rows import Element, Stage, by_python, chain, chunks
from feedbench.loaders.tf_settings import TfData

if TYPE_CHECKING:
    import tensorflow as tf

_CHUNK = 1024  # rows that enter the graph with one call of Python


class Pipeline:
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
        calls = or_autotune(self._settings.num_parallel_calls)

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
            dataset = dataset.prefetch(or_autotune(self._settings.prefetch))
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


def _row_cache(request: Request, settings: TfData) -> RowCache | RowFile | None:
    rows, side = len(request.manifest), request.spec.image_size
    if settings.cache == "decoded":
        return RowCache.in_memory(rows, side)
    if settings.cache == "disk":
        return RowFile(rows, side, disk_cache_folder(settings))
    return None


def disk_cache_folder(settings: TfData) -> Path:
    """The folder for the file of cache='disk'."""
    return Path(settings.cache_dir or tempfile.gettempdir())
