"""Reading the bytes of images inside a tf.data graph: whole files, and ranges in shards.

TensorFlow's own readers of records begin at the start of a file, or read all that they skip. A
range is therefore read by Python, with one call for several images.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from feedbench.loaders.files import read_file
from feedbench.loaders.remote.ahead import ReadAhead
from feedbench.loaders.tf_rows import Element

SHARD_READS = 16  # images per call


def read_whole(path: Any) -> Any:
    """The bytes of a file."""
    import tensorflow as tf

    return tf.io.read_file(path)


def read_address(address: Any) -> Any:
    """The bytes of an image in a shard or in object storage."""
    import tensorflow as tf

    return tf.ensure_shape(tf.numpy_function(read_file, [address], tf.string), ())


def read_shards(elements: Element) -> Element:
    """Several images in shards: adds `data`, from the addresses in `path`."""
    import tensorflow as tf

    data = tf.numpy_function(_read_all, [elements["path"]], tf.string)
    return {**elements, "data": tf.ensure_shape(data, (None,))}


class Reads:
    """Reads objects, `depth` at once; a stage from addresses to bytes, as `read_shards` is."""

    def __init__(self, depth: int) -> None:
        self.depth = depth
        self._ahead = ReadAhead(depth)

    def __call__(self, elements: Element) -> Element:
        """Several elements with `data` added, from the addresses in `path`."""
        import tensorflow as tf

        data = tf.numpy_function(self._all, [elements["path"]], tf.string)
        return {**elements, "data": tf.ensure_shape(data, (None,))}

    def close(self) -> None:
        """Stop: what is not read yet fails at once."""
        self._ahead.close()

    def _all(self, addresses: Any) -> Any:
        return _read_all(self._ahead.start(list(addresses)))


def _read_all(addresses: Any) -> Any:
    data = np.empty(len(addresses), object)
    data[:] = [read_file(one) for one in addresses]
    return data
