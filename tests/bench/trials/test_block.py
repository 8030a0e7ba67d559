"""A block counts the images that arrived in it, and never reads an iterator to its end."""

import time
from collections.abc import Iterator

import numpy as np
import pytest

from feedbench.bench.consumers.base import Drain
from feedbench.bench.trials import block
from feedbench.bench.trials.block import MIN_STEPS, timed_block
from feedbench.loaders import Batch, BatchSpec, open_loader, scan


class Counting:
    """A consumer that records its calls."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.images = 0

    def step(self, batch: Batch) -> None:
        self.calls.append("step")
        self.images += len(batch.labels)

    def finish(self) -> None:
        self.calls.append("finish")


def batches(sizes: Iterator[int]) -> Iterator[Batch]:
    for size in sizes:
        yield Batch(np.zeros((size, 1, 1, 3), np.uint8), np.zeros(size, np.int32), np.arange(size))


def test_a_block_counts_exactly_the_images_that_the_consumer_took():
    consumer = Counting()
    sizes = iter([7, 3, 5, 11] * 100_000)
    timed = timed_block(batches(sizes), consumer, 0.05)
    assert timed.images == consumer.images
    assert len(timed.wait_s) == len(timed.step_s) == consumer.calls.count("step")


def test_a_block_begins_and_ends_with_an_idle_device():
    consumer = Counting()
    timed_block(batches(iter([1] * 1_000_000)), consumer, 0.01)
    assert consumer.calls[0] == consumer.calls[-1] == "finish"
    assert consumer.calls.count("finish") == 2


def test_a_short_block_still_has_the_minimum_number_of_steps():
    timed = timed_block(batches(iter([4] * MIN_STEPS)), Drain(), 0.0)
    assert timed.images == 4 * MIN_STEPS


def test_a_block_has_the_steps_that_were_asked_for_unless_it_is_long_already(monkeypatch):
    def steps(**options):
        return len(timed_block(batches(iter([1] * 100)), Drain(), 0.0, **options).step_s)

    assert steps(min_steps=20) == 20
    monkeypatch.setattr(block, "LONG_S", 0.0)
    assert steps(min_steps=20) == MIN_STEPS
    assert steps(min_steps=1) == 1


def test_waits_and_steps_fill_the_block():
    class Slow(Counting):
        def step(self, batch: Batch) -> None:
            time.sleep(0.01)

    def slow() -> Iterator[Batch]:
        for batch in batches(iter([1] * 1_000)):
            time.sleep(0.02)
            yield batch

    timed = timed_block(slow(), Slow(), 0.3)
    assert min(timed.wait_s) >= 0.02
    assert min(timed.step_s) >= 0.01
    assert sum(timed.wait_s) + sum(timed.step_s) == pytest.approx(timed.seconds, rel=0.05)


def test_the_end_of_an_iterator_is_never_timed():
    ended = []

    def stalling() -> Iterator[Batch]:
        # Iterators of tf.data may stall for seconds when they end.
        try:
            yield from batches(iter([2] * MIN_STEPS))
        finally:
            ended.append(True)

    stream = stalling()
    timed = timed_block(stream, Drain(), 0.0)
    assert not ended
    assert timed.images == 2 * MIN_STEPS


def test_a_stream_continues_after_its_block(tiny_photos):
    manifest = scan(tiny_photos).only("train")
    spec = BatchSpec(batch_size=8, image_size=16)
    with open_loader("tf_data", manifest, spec) as stream:
        first = timed_block(stream, Drain(), 0.1)
        second = timed_block(stream, Drain(), 0.1)
        following = next(stream)
    consumed = first.images + second.images
    assert consumed % 8 == 0
    fresh = open_loader("synthetic", manifest, spec, start_step=consumed // 8)
    assert np.array_equal(following.rows, next(fresh).rows)
