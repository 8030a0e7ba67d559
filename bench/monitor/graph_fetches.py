"""The same for TensorFlow, whose `fit` takes each batch inside its compiled function.

Python never sees that batch. So the last stages of the pipeline note the times, in the graph: they
take each batch from an iterator over the user's own pipeline, which is built and optimized as if
they were not there. `fit` gets an iterator of the same kind and element spec, so its functions are
neither changed nor traced again.
"""

from __future__ import annotations

from time import perf_counter, time
from typing import Any

from feedbench.bench.monitor.fetches import Fetch


class GraphFetches:
    """Notes the batches of TensorFlow in a variable, at a fraction of a millisecond per batch."""

    def __init__(self, capacity: int, keep_at: int | None) -> None:
        """Prepare for up to `capacity` batches; the one at index `keep_at` is kept, if any."""
        import tensorflow as tf

        self.capacity = capacity
        self.keeps: str | None = None
        self.batch: Any = None
        self._tf = tf
        self._keep_at = -1 if keep_at is None else keep_at
        with tf.init_scope(), tf.device("CPU:0"):
            self._noted = tf.Variable(tf.zeros([capacity, 3], tf.float64), trainable=False)
            self._count = tf.Variable(0, dtype=tf.int64, trainable=False)

    def wrap(self, batches: Any) -> Any:
        """Return a data set with the same batches and the same element spec."""
        tf = self._tf
        self._spec = batches.element_spec
        self._check_spec()

        def fetch(iterator: Any) -> Any:
            # TensorFlow orders most operations of a function as they are written, but not this one.
            asked = tf.timestamp()
            with tf.control_dependencies([asked]):
                batch = iterator.get_next_as_optional()
            with tf.control_dependencies(tf.nest.flatten(batch, expand_composites=True)):
                return asked, tf.timestamp(), batch

        # An iterator that `fetch` captured would be part of a reference cycle, as all functions of
        # TensorFlow are, and outlive `fit`: threads that prefetch from Python would keep the
        # process from ending.
        fetched = tf.data.Dataset.from_tensors(iter(batches)).repeat().map(fetch)
        stages = fetched.take_while(lambda asked, arrived, batch: batch.has_value())
        return stages.map(self._note).with_options(_as_written(tf))

    def _note(self, asked: Any, arrived: Any, optional: Any) -> Any:
        tf = self._tf
        batch = optional.get_value()
        flat = tf.nest.flatten(batch, expand_composites=True)
        index = self._count.read_value()
        values = [asked, arrived, tf.cast(_images_in(tf, flat[0]), tf.float64)]

        def write() -> Any:
            self._noted.scatter_nd_update([[index]], [values])
            return True

        def keep() -> Any:
            tf.py_function(self._keep, flat, [])
            return True

        tf.cond(index < self.capacity, write, lambda: False)
        if self._keep_at >= 0 and self.keeps is None:
            tf.cond(tf.equal(index, self._keep_at), keep, lambda: False)
        self._count.assign_add(1)
        return batch

    def _keep(self, *flat: Any) -> None:
        self.batch = self._tf.nest.pack_sequence_as(self._spec, flat, expand_composites=True)

    def _check_spec(self) -> None:
        """Note if batches cannot be kept: only numbers and text can leave the graph."""
        tf = self._tf
        for spec in tf.nest.flatten(self._spec):
            if not isinstance(spec, (tf.TensorSpec, tf.SparseTensorSpec, tf.RaggedTensorSpec)):
                self.keeps = f"a batch with {type(spec).__name__} cannot be repeated"

    def repeated(self) -> Any:
        """Return an endless iterator over the kept batch, of the element spec that `fit` knows."""
        tf = self._tf

        def relaxed(tensor: Any, spec: Any) -> Any:
            if not isinstance(spec, tf.TensorSpec):
                return tensor
            return tf.compat.v1.placeholder_with_default(tensor, spec.shape)

        def relax(*batch: Any) -> Any:
            whole = batch if isinstance(self._spec, tuple) else batch[0]
            return tf.nest.map_structure(relaxed, whole, self._spec)

        return iter(tf.data.Dataset.from_tensors(self.batch).repeat().map(relax))

    def count(self) -> int:
        """Return the number of batches that have arrived so far."""
        return int(self._count.numpy())

    def read(self) -> list[Fetch]:
        """Return all that was noted so far."""
        offset = perf_counter() - time()  # from the clock of `tf.timestamp`
        rows = self._noted.numpy()[: self.count()].tolist()
        return [Fetch(asked + offset, at + offset, int(images)) for asked, at, images in rows]


def _images_in(tf: Any, tensor: Any) -> Any:
    return tf.shape(tensor)[0] if tensor.shape.rank else tf.constant(1)


def _as_written(tf: Any) -> Any:
    """Return options by which tf.data runs these stages as they are written."""
    options = tf.data.Options()
    options.autotune.enabled = False
    options.experimental_optimization.apply_default_optimizations = False
    return options
