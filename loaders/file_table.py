"""A cache of encoded files by row, inside a TensorFlow graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


class FileTable:
    """File bytes by row in a hash table inside the graph; each file is read once."""

    def __init__(self) -> None:
        import tensorflow as tf

        self._table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.string, default_value="")

    def read(self, row: Any, path: Any, read: Callable[[Any], Any]) -> Any:
        """The bytes of a row's file, by this function of its path if they are not there yet."""
        import tensorflow as tf

        data = self._table.lookup(row)
        is_known = tf.strings.length(data) > 0
        return tf.cond(is_known, lambda: data, lambda: self._insert(row, read(path)))

    def close(self, rows: int) -> None:
        """Remove all entries; the graph may keep the table itself alive."""
        import tensorflow as tf

        self._table.remove(tf.range(rows, dtype=tf.int64))

    def _insert(self, row: Any, data: Any) -> Any:
        import tensorflow as tf

        with tf.control_dependencies([self._table.insert(row, data)]):
            return tf.identity(data)
