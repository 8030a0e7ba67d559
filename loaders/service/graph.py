"""The dataset that a service works on: a graph without a call of Python, for some steps.

The rows of each step are in the graph as constants, so that the workers need no order of their own,
and travel back with the images.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from feedbench.loaders.augment.draws import FLIP
from feedbench.loaders.images.decode_path import DECODE_PATHS, PILLOW
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.order import Order, Rows
from feedbench.loaders.service.image_work import ImageWork
from feedbench.loaders.service.same_files import digest
from feedbench.loaders.tf_rows import Element

if TYPE_CHECKING:
    import tensorflow as tf

Columns = dict[str, Any]  # what a graph knows of the images, in the order of their positions


class Graph:
    """From the numbers of steps to batches.

    The elements have `step`, an int64 scalar; `row`, int64 `[batch]`; `given`, bool `[batch]`,
    false where a worker could not read an image; `digest`, int64 `[batch]`, of the files; and
    `image` `[batch, side, side, 3]`, blank where it is not given.
    """

    def __init__(
        self,
        manifest: Manifest,
        side: int,
        work: ImageWork,
        calls: int,
        prefetch: int,
        options: tf.data.Options,
    ) -> None:
        self._manifest = manifest
        self._side = side
        self._work = work
        self._calls = calls
        self._prefetch = prefetch
        self._options = options

    @property
    def image_bytes(self) -> int:
        """Bytes of an image as it travels, not compressed."""
        return 3 * self._side**2 * np.dtype(self._work.dtype).itemsize

    def dataset(self, order: Order, steps: Rows, *, protected: bool = True) -> tf.data.Dataset:
        """The batches of some steps, each of which the service gives to one worker.

        Args:
            protected: whether an image that cannot be read comes out blank, which takes a fifth of
                the CPU time more; if not, it ends the dataset with an error.
        """
        import tensorflow as tf

        size, columns = order.batch_size, self._columns(order, steps)
        paths = columns.pop("paths")
        total = len(columns["row"])

        def of_step(number: Any) -> Element:
            begin = number * size
            end = tf.minimum(begin + size, total)
            return {name: column[begin:end] for name, column in columns.items()}

        def image(element: Element) -> Element:
            element = {**element, "path": tf.gather(paths, element["place"])}
            made = (self._protected if protected else self._image)(element)
            return {**made, "row": element["row"], "step": element["step"]}

        dataset = tf.data.Dataset.range(len(steps)).map(of_step).unbatch()
        dataset = dataset.map(image, self._calls).batch(size).map(_with_one_step)
        if self._prefetch:
            dataset = dataset.prefetch(self._prefetch)
        return dataset.with_options(self._options)

    def _columns(self, order: Order, steps: Rows) -> Columns:
        ranges = [_positions(order, step) for step in steps.tolist()]
        rows = np.concatenate([order.rows(*one) for one in ranges])
        different, places = np.unique(rows, return_inverse=True)
        lengths = [end - begin for begin, end in ranges]
        columns: Columns = {
            "step": np.repeat(steps, lengths),
            "row": rows,
            "place": places.astype(np.int32),
        }
        if self._work.decoding.decode_paths is not None:
            columns["code"] = self._work.decoding.decode_paths[rows]
        if self._work.flips:
            columns["flip"] = np.concatenate([order.draws(*one)[:, FLIP] > 0 for one in ranges])
        if self._work.cuts:
            columns["crop"] = np.concatenate([order.crops(*one) for one in ranges])
        columns["paths"] = np.array(self._manifest.paths(different), object)
        return {name: _constant(column) for name, column in columns.items()}

    def _protected(self, element: Element) -> Element:
        """The image, or a blank one where it cannot be read.

        A dataset of one element, because only `ignore_errors` catches an error inside a graph.
        """
        import tensorflow as tf

        image = tf.zeros((self._side, self._side, 3), self._work.dtype)
        blank = {"image": image, "given": False, "digest": tf.constant(0, tf.int64)}
        attempt = tf.data.Dataset.from_tensors(element).map(self._image).ignore_errors()
        either = attempt.concatenate(tf.data.Dataset.from_tensors(blank)).take(1)
        made: Element = either.get_single_element()
        return made

    def _image(self, element: Element) -> Element:
        import tensorflow as tf

        code = element.get("code")
        given = True if code is None else tf.cast(code, tf.int32) % DECODE_PATHS != PILLOW
        data = tf.io.read_file(element["path"])
        image = self._work(data, code, element.get("crop"), element.get("flip"))
        image = tf.ensure_shape(image, (self._side, self._side, 3))
        return {"image": image, "given": given, "digest": digest(data)}


def _positions(order: Order, step: int) -> tuple[int, int]:
    """The positions of a step's images; the last step of an order may be shorter."""
    begin = step * order.batch_size
    end = begin + order.batch_size
    return begin, end if order.end is None else min(end, order.end)


def _constant(column: Any) -> Any:
    import tensorflow as tf

    return tf.constant(column.tolist() if column.dtype == object else column)


def _with_one_step(batch: Element) -> Element:
    return {**batch, "step": batch["step"][0]}
