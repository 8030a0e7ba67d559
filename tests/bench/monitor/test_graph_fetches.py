"""A pipeline whose batches were noted in the graph ends with its iterator."""

import gc

import numpy as np
import tensorflow as tf

from feedbench.bench.monitor.graph_fetches import GraphFetches


def test_a_pipeline_ends_with_its_iterator_and_not_by_garbage_collection():
    """One that prefetches from Python would keep the process from ending."""
    running = set()

    def rows():
        running.add("rows")
        try:
            while True:
                yield np.zeros(3, np.float32)
        finally:
            running.remove("rows")

    def read_some():
        fetches = GraphFetches(capacity=10, keep_at=0)
        signature = tf.TensorSpec((3,), tf.float32)
        batches = tf.data.Dataset.from_generator(rows, output_signature=signature).batch(2)
        iterator = iter(fetches.wrap(batches.prefetch(2)))
        assert all(next(iterator).shape == (2, 3) for _ in range(3))
        assert running
        return fetches

    gc.disable()
    try:
        assert read_some().count() == 3
        assert not running
    finally:
        gc.enable()
