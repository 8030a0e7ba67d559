"""Code of a tf.data pipeline that gives the batches of `tf_data`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from feedbench.loaders.code.images import (
    augment_function,
    dtype_notes,
    image_functions,
    in_range,
    range_constants,
    resized_part,
)
from feedbench.loaders.code.listing import listing_constants, listing_functions
from feedbench.loaders.code.regions import can_cut, load_line, region_functions
from feedbench.loaders.code.request import Code, CodeRequest
from feedbench.loaders.code.rows import (
    MAIN,
    choice_of_rows,
    make_dataset_line,
    row_functions,
    steps_function,
)
from feedbench.loaders.code.stream import stream_code
from feedbench.loaders.code.text import lines, module, plain

if TYPE_CHECKING:
    from feedbench.loaders.spec import BatchSpec

USAGE = """    train = make_dataset("photos/")
    model.fit(
        train,
        steps_per_epoch=steps_per_epoch("photos/"),
        validation_data=make_dataset("photos/", "validation", epochs=1),
        epochs=10,
    )"""

_ENCODED = '''def file_reader(paths):
    """Return a function that reads a file once and then keeps its bytes in memory."""
    table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.string, "")

    def read_and_keep(row):
        data = tf.io.read_file(tf.gather(paths, row))
        with tf.control_dependencies([table.insert(row, data)]):
            return tf.identity(data)

    def read(row):
        kept = table.lookup(row)
        is_kept = tf.strings.length(kept) > 0
        return tf.cond(is_kept, lambda: kept, lambda: read_and_keep(row))

    return read'''

_DECODED_ONCE = '''def decoded_once(rows, example, {counts}, batch_size):
    """Return batches of images that are decoded in the first epoch and kept {where}.

    Not Dataset.cache(), which would repeat the order of the first epoch.
    """
{store}

    # The batch that ends the first epoch is the last one that is decoded.
    first = -(-{epoch_size} // batch_size) * batch_size
    decoded = rows.take(first).map(example, num_parallel_calls={calls})
    kept = rows.skip(first).batch(batch_size)
    kept = kept.map(recall, num_parallel_calls={calls})
    return decoded.batch(batch_size).map(keep).concatenate(kept)'''

_IN_MEMORY = """    with tf.device("CPU:0"):
        images = tf.Variable(tf.zeros((count, IMAGE_SIZE, IMAGE_SIZE, 3), tf.uint8))

    def keep(batch, rows):
        images.scatter_update(tf.IndexedSlices(batch, rows))
        return batch, rows

    def recall(rows):
        return tf.gather(images, rows), rows"""

_ON_DISK = """    shape = (count, IMAGE_SIZE, IMAGE_SIZE, 3)
    with tempfile.TemporaryFile({folder}) as file:  # gone when the process ends
        # Without its space, a full disk would kill the process.
        os.posix_fallocate(file.fileno(), 0, math.prod(shape))
        images = np.memmap(file, np.uint8, "w+", shape=shape)

    def write(rows, batch):
        images[rows] = batch
        return batch

    def read(rows):
        return images[rows]

    def keep(batch, rows):
        written = tf.numpy_function(write, [rows, batch], tf.uint8)
        return tf.ensure_shape(written, batch.shape), rows

    def recall(rows):
        batch = tf.numpy_function(read, [rows], tf.uint8)
        return tf.ensure_shape(batch, (None, *shape[1:])), rows"""


def tf_data_code(request: CodeRequest) -> Code:
    """The module that gives the batches of these settings."""
    spec, settings = request.spec, request.settings
    cuts = spec.augment.random_resized_crop is not None
    if cuts and not can_cut(spec, settings.decode):
        return stream_code(request)
    pipeline = _Pipeline(request)
    constants = lines(
        f"IMAGE_SIZE = {spec.image_size}",
        bool(settings.output == "float32") and range_constants(spec),
        listing_constants(request),
    )
    body = module(
        constants,
        pipeline.make_dataset(),
        steps_function(spec),
        _ENCODED if settings.cache == "encoded" else None,
        pipeline.cache_function(),
        *row_functions(spec),
        *image_functions(spec, settings.decode),
        *region_functions(spec, settings.decode),
        augment_function(spec) if pipeline.by_batch else None,
        *listing_functions(request),
        MAIN,
    )
    return Code(lines(USAGE, *notes(spec, settings.output)), body)


def notes(spec: BatchSpec, output: str) -> list[str]:
    """What a reader has to know of the images, as paragraphs."""
    found = dtype_notes(spec, output)
    if spec.augment:
        found.append(
            "\nThe values of the augmentation are drawn by TensorFlow: other ones than those of\n"
            "Feedbench for the same seed, from the same ranges."
        )
    if spec.augment.on_device:
        found.append(
            "\nFeedbench's trainer applied a part of it on the device; here all is applied on the\n"
            "CPU, which takes more of its time than was measured."
        )
    return found


class _Pipeline:
    """The code of one choice of settings."""

    def __init__(self, request: CodeRequest) -> None:
        self.spec, self.settings = request.spec, request.settings
        self.is_cached = self.settings.cache in ("decoded", "disk")
        rest = resized_part(self.spec)
        # Flips and range alone are cheaper per image, which is then still in the CPU's cache.
        self.by_batch = bool(rest) and (self.is_cached or not rest.only_flips)
        self.flips = bool(rest) and not self.by_batch
        self.counts = self.flips or self.spec.augment.random_resized_crop is not None
        self.calls = _or_autotune(self.settings.num_parallel_calls)

    def make_dataset(self) -> str:
        """The function that opens the dataset; its last stage is returned."""
        before, _, last = self._stages().rpartition("    dataset = ")
        return before + "    return " + last

    def _stages(self) -> str:
        spec, settings = self.spec, self.settings
        trains = spec.shuffle or bool(spec.balance) or bool(spec.augment) or self.is_cached
        size = f"[batch, {spec.image_size}, {spec.image_size}, 3]"
        return lines(
            make_dataset_line(spec),
            f'    """Return a dataset of images, {settings.output} {size}, and labels.\n',
            "    Without `epochs` it has no end. " + self._what_differs(),
            '    """',
            "    paths, labels = list_images(data, split)",
            trains and '    training = split == "train"',
            choice_of_rows(spec, training=trains),
            self._setup() + "\n",
            self._example() + "\n",
            self._batches(),
            self._finish(),
            settings.prefetch not in (0, "autotune") and _AHEAD,
            bool(settings.prefetch)
            and f"    dataset = dataset.prefetch({_or_autotune(settings.prefetch)})",
            self._options(),
        )

    def cache_function(self) -> str | None:
        """The function that keeps decoded images; None without such a cache."""
        if not self.is_cached:
            return None
        folder = self.settings.cache_dir
        store, where = _IN_MEMORY, "in memory"
        if self.settings.cache == "disk":
            store = _ON_DISK.format(folder="" if folder is None else f"dir={plain(folder)}")
            where = "in a file"
        counts = ("count, epoch_size", "epoch_size") if self.spec.balance else ("count", "count")
        return _DECODED_ONCE.format(
            store=store, where=where, calls=self.calls, counts=counts[0], epoch_size=counts[1]
        )

    def _what_differs(self) -> str:
        spec = self.spec
        if spec.augment:
            return "Only training images are augmented."
        return "Only training images are shuffled." if spec.shuffle else "It is not shuffled."

    def _setup(self) -> str:
        """The lines between the rows and the first stage."""
        spec = self.spec
        return lines(
            spec.orientation == "apply"
            and "    turns = tf.constant([orientation(path) for path in paths])",
            self.is_cached
            and bool(spec.balance)
            and "    epoch_size = len(balanced_rows(labels, seed, 0))",
            "    names = [os.fsencode(path) for path in paths]  # which need not be UTF-8",
            "    paths, labels = tf.constant(names), tf.constant(labels)",
            self.settings.cache == "encoded" and "    read = file_reader(paths)",
        )

    def _example(self) -> str:
        """The stage that makes one image; one map for all, since images would wait between two."""
        spec = self.spec
        data = "read(row)" if self.settings.cache == "encoded" else _READ
        turn = ", tf.gather(turns, row)" if spec.orientation == "apply" else ""
        rounds = self.is_cached or self.settings.output == "uint8"
        ranges = self.settings.output == "float32" and not (self.is_cached or self.by_batch)
        return lines(
            f"    def example({'position, ' if self.counts else ''}row):",
            f"        data = {data}",
            load_line(spec, f"load(data{turn})"),
            self.flips and _FLIP_IMAGE,
            rounds
            and spec.interpolation != "nearest"
            and "        image = tf.cast(tf.round(image), tf.uint8)",
            ranges and f"        image = {in_range(spec, 'image')}",
            f"        return image, {'row' if self.is_cached else 'tf.gather(labels, row)'}",
        )

    def _batches(self) -> str:
        rows = "rows.enumerate()" if self.counts else "rows"
        mapped = f"dataset = {rows}.map(example, num_parallel_calls={self.calls})"
        if not self.is_cached:
            return f"    {mapped}\n    dataset = dataset.batch(batch_size)"
        more = "epoch_size, " if self.spec.balance else ""
        return lines(
            "    if training:",
            f"        dataset = decoded_once(rows, example, len(paths), {more}batch_size)",
            "    else:",
            f"        {mapped}",
            "        dataset = dataset.batch(batch_size)",
        )

    def _finish(self) -> str | None:
        """The stage of a whole batch: augmentation, range and labels, as far as left to it."""
        if not (self.is_cached or self.by_batch):
            return None
        is_float = self.settings.output == "float32"
        second = "rows" if self.is_cached else "labels"
        images = in_range(self.spec, "images") if is_float else "images"
        labels = "tf.gather(labels, rows)" if self.is_cached else "labels"
        return lines(
            f"\n    def finish({'number, batch' if self.by_batch else f'images, {second}'}):",
            self.by_batch and _AUGMENT.format(second=second),
            is_float and f"        images = {images}",
            f"        return images, {labels}",
            "\n    dataset = "
            f"dataset{'.enumerate()' if self.by_batch else ''}"
            f".map(finish, num_parallel_calls={self.calls})",
        )

    def _options(self) -> str | None:
        settings = self.settings
        wanted = [
            not settings.deterministic and _OVERTAKING,
            not settings.autotuned and _NO_AUTOTUNE,
            settings.private_threads is not None
            and "    # Threads of its own: TensorFlow's are shared with the model.\n"
            f"    options.threading.private_threadpool_size = {settings.private_threads}",
        ]
        if not any(wanted):
            return None
        return lines(
            "    options = tf.data.Options()",
            *wanted,
            "    dataset = dataset.with_options(options)",
        )


_READ = "tf.io.read_file(tf.gather(paths, row))"

_FLIP_IMAGE = """        if training:
            image = tf.image.stateless_random_flip_left_right(image, (seed, position))"""

_AUGMENT = """        images, {second} = batch
        if training:
            images = augment(images, tf.stack([seed, number]))"""

_AHEAD = "    # Batches prepared while the model computes; each takes its memory."

_OVERTAKING = """    # An image that is ready may overtake one that is not: the order varies.
    options.deterministic = False"""

_NO_AUTOTUNE = """    # Nothing is left to tune, and the end of an iterator waits for its thread.
    options.autotune.enabled = False"""


def _or_autotune(value: Any) -> str:
    return "tf.data.AUTOTUNE" if value == "autotune" else str(value)
