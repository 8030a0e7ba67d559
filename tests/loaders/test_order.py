"""The sequence of rows: full permutations, without gaps, and any start."""

import numpy as np
import pytest

from feedbench.loaders import Augment, BudgetError, Order
from feedbench.loaders.augment.draws import FLIP


def test_each_epoch_is_another_full_permutation():
    order = Order(100, 8, seed=1)
    epochs = [order.epoch(number).tolist() for number in range(4)]
    assert all(sorted(epoch) == list(range(100)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_the_sequence_depends_on_the_seed_alone():
    assert np.array_equal(Order(50, 8, seed=1).rows(0, 130), Order(50, 3, seed=1).rows(0, 130))
    assert not np.array_equal(Order(50, 8, seed=1).rows(0, 50), Order(50, 8, seed=2).rows(0, 50))


def test_rows_continue_across_epochs():
    order = Order(10, 4, seed=2)
    whole = np.concatenate([order.epoch(number) for number in range(4)])
    for begin, end in ((0, 40), (7, 23), (9, 11), (10, 20), (5, 5)):
        assert order.rows(begin, end).tolist() == whole[begin:end].tolist()


def test_chunks_cover_the_epochs_and_only_the_last_is_short():
    assert list(Order(10, 8, epochs=2).chunks(8)) == [(0, 8), (8, 16), (16, 20)]
    assert list(Order(10, 8, epochs=2, start_step=1).chunks(8)) == [(8, 16), (16, 20)]
    assert list(Order(10, 8, epochs=2, stop_step=1).chunks(8)) == [(0, 8)]
    assert list(Order(10, 8, epochs=2, start_step=3).chunks(8)) == []


def test_a_chunk_can_be_read_by_its_step():
    order = Order(10, 8, epochs=2, start_step=1)
    assert order.steps == 2
    assert [order.chunk(step, 8) for step in range(2)] == [(8, 16), (16, 20)]
    assert Order(10, 8).steps is None


def test_the_first_part_of_a_split_has_every_row():
    for start in (0, 1, 2, 3, 7):
        order = Order(10, 4, seed=1, epochs=8, start_step=start)
        first, later = order.split_at(order.first_full_step)
        begin, end = first.begin, first.end
        assert set(first.rows(begin, end)) == set(range(10))
        assert later.begin == end
        assert end - begin <= 2 * 10 + 4


def test_splitting_a_short_order_leaves_the_second_part_empty():
    order = Order(10, 4, epochs=1)
    first, later = order.split_at(order.first_full_step)
    assert list(first.chunks(4)) == [(0, 4), (4, 8), (8, 10)]
    assert list(later.chunks(4)) == []


def test_half_of_the_images_are_flipped_redrawn_each_epoch():
    order = Order(2_000, 8, seed=3, augment=Augment(horizontal_flip=True))
    first, second = (order.draws(begin, begin + 2_000)[:, FLIP] for begin in (0, 2_000))
    assert 0.45 < first.mean() < 0.55
    by_row = [np.argsort(order.rows(0, 2_000)), np.argsort(order.rows(2_000, 4_000))]
    assert 0.4 < (first[by_row[0]] == second[by_row[1]]).mean() < 0.6
    assert order.draws(700, 900)[:, FLIP].tolist() == first[700:900].tolist()
    assert not Order(2_000, 8, seed=3).draws(0, 2_000)[:, FLIP].any()


def test_the_next_readable_row_replaces_an_unreadable_one():
    order = Order(10, 4, seed=1, epochs=2)
    rows_before = order.rows(0, 20)
    bad = rows_before[[2, 3, 9]].tolist()
    rows = order.without(bad).rows(0, 20)
    assert not set(rows) & set(bad)
    kept = ~np.isin(rows_before, bad)
    assert (rows[kept] == rows_before[kept]).all()
    assert rows[2] == rows[3] == rows_before[4]
    assert rows[9] == next(row for row in rows_before[10:] if row not in bad)


def test_rows_can_be_exchanged_at_their_positions():
    order = Order(10, 4, seed=1, epochs=2, exchanged=((5, 7), (11, 3)))
    rows_before = Order(10, 4, seed=1, epochs=2).rows(0, 20)
    rows_before[5], rows_before[11] = 7, 3
    assert order.rows(4, 12).tolist() == rows_before[4:12].tolist()


def test_an_order_of_which_no_row_can_be_read_ends():
    order = Order(2, 1).without([0, 1])
    with pytest.raises(BudgetError, match="feedbench scan"):
        order.rows(0, 1)
