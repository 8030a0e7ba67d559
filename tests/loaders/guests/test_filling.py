"""A batch that is filled in a worker has the rows, pixels and flips of the order."""

import numpy as np
import pytest

from feedbench.loaders import BatchSpec, BudgetError, Faults, ImageError, Order, Request, tolerance
from feedbench.loaders.augment.regions import TOP
from feedbench.loaders.guests.filling import fill, in_range

SPEC = BatchSpec(batch_size=6, image_size=4, augment={"horizontal_flip": True})


class Ramps:
    """An image of each row: its number in the first column."""

    def __init__(self, bad=()):
        self.bad = set(bad)

    def find(self, rows):
        return rows.tolist()

    def load_region(self, row, item, into, crop):
        self.load(row, item, into)
        into[:, 1] = crop[TOP] * 255

    def load(self, row, item, into):
        assert item == row
        if row in self.bad:
            raise ImageError("photo", row, "Pillow", "bad")
        into[:] = 0
        into[:, 0] = row


def filled(bad=(), skip=True, budget=0.5, order=None):
    order = order or Order(12, 6, seed=1, augment=SPEC.augment)
    faults = Faults(tolerance("skip" if skip else "raise", budget, 12))
    request = Request(None, SPEC, order, faults)
    into = np.empty((6, 4, 4, 3), np.uint8)
    return fill(request, Ramps(bad), 0, 6, into), into, order


def test_rows_and_flips_are_those_of_the_order():
    found, into, order = filled()
    assert found.rows.tolist() == order.rows(0, 6).tolist()
    flips = found.draws[:, 0] > 0
    assert np.where(flips, into[:, 0, -1, 0], into[:, 0, 0, 0]).tolist() == found.rows.tolist()
    assert not found.failed


def test_failed_rows_give_their_places_to_the_next_of_the_order():
    order = Order(12, 6, seed=1, augment=SPEC.augment)
    bad = order.rows(0, 12)[[1, 4, 6]].tolist()
    found, into, _ = filled(bad)
    assert found.rows.tolist() == order.without(bad).rows(0, 6).tolist()
    assert {fault.row for fault in found.failed} <= set(bad)
    assert {fault.row for fault in found.failed} >= set(bad[:2])
    assert into.max(axis=(1, 2, 3)).tolist() == found.rows.tolist()


def test_crops_are_those_of_the_order_also_where_a_row_was_replaced():
    spec = BatchSpec(batch_size=6, image_size=4, augment={"random_resized_crop": (0.1, 1)})
    order = Order(12, 6, seed=1, augment=spec.augment)
    bad = order.rows(0, 12)[[1]].tolist()
    request = Request(None, spec, order, Faults(tolerance("skip", 0.5, 12)))
    into = np.empty((6, 4, 4, 3), np.uint8)
    fill(request, Ramps(bad), 0, 6, into)
    crops = order.without(bad).crops(0, 6)
    assert into[:, 0, 1, 0].tolist() == (crops[:, TOP] * 255).astype(np.uint8).tolist()


def test_a_row_that_comes_twice_is_replaced_twice_and_counts_once():
    order = Order(3, 6, shuffle=False)
    found, _, _ = filled([1], order=order)
    assert found.rows.tolist() == [0, 2, 2, 0, 2, 2]
    assert [fault.row for fault in found.failed] == [1]


def test_no_more_may_fail_than_the_run_allows():
    with pytest.raises(ImageError):
        filled([5], skip=False, order=Order(12, 6, shuffle=False))
    with pytest.raises(BudgetError):
        filled([0, 1], budget=0.1, order=Order(12, 6, shuffle=False))


def test_floats_are_in_the_value_range():
    spec = BatchSpec(image_size=2, value_range=(-1, 1))
    pixels = np.full((1, 2, 2, 3), 255, np.uint8)
    pixels[0, 0] = 0
    floats = np.empty(pixels.shape, np.float32)
    in_range(Request(None, spec, None), pixels, floats)
    assert floats.min() == -1
    assert floats.max() == 1
