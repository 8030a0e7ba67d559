"""Segments cover each step of an order once, and are numbered alike wherever it starts."""

from itertools import islice

import numpy as np

from feedbench.loaders import Order
from feedbench.loaders.service import segments as module
from feedbench.loaders.service.segments import segments


def test_each_step_is_in_one_segment(monkeypatch):
    monkeypatch.setattr(module, "_IMAGES", 12)
    order = Order(10, 4, epochs=3, start_step=2)
    found = list(segments(order))
    assert [(one.number, one.first, one.end) for one in found] == [(0, 2, 3), (1, 3, 6), (2, 6, 8)]
    assert np.concatenate([one.steps for one in found]).tolist() == list(range(2, 8))


def test_an_order_without_an_end_has_segments_without_an_end(monkeypatch):
    monkeypatch.setattr(module, "_IMAGES", 4)
    assert [one.number for one in islice(segments(Order(3, 4)), 4)] == [0, 1, 2, 3]


def test_nothing_is_left_after_the_end():
    assert not list(segments(Order(3, 4, epochs=1, start_step=9)))
