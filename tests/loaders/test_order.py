"""The sequence of rows: full permutations, seamless, enterable anywhere."""

import numpy as np

from feedbench.loaders import Augment, Order
from feedbench.loaders.augment import FLIP


def test_each_epoch_is_another_full_permutation():
    order = Order(100, 8, seed=1)
    epochs = [order.epoch(number).tolist() for number in range(4)]
    assert all(sorted(epoch) == list(range(100)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_the_sequence_depends_on_the_seed_alone():
    assert np.array_equal(Order(50, 8, seed=1).rows(0, 130), Order(50, 3, seed=1).rows(0, 130))
    assert not np.array_equal(Order(50, 8, seed=1).rows(0, 50), Order(50, 8, seed=2).rows(0, 50))


def test_rows_run_on_across_the_seams_of_epochs():
    order = Order(10, 4, seed=2)
    whole = np.concatenate([order.epoch(number) for number in range(4)])
    for begin, end in ((0, 40), (7, 23), (9, 11), (10, 20), (5, 5)):
        assert order.rows(begin, end).tolist() == whole[begin:end].tolist()


def test_pieces_cover_the_epochs_and_only_the_last_is_short():
    assert list(Order(10, 8, epochs=2).chunks(8)) == [(0, 8), (8, 16), (16, 20)]
    assert list(Order(10, 8, epochs=2, start_step=1).chunks(8)) == [(8, 16), (16, 20)]
    assert list(Order(10, 8, epochs=2, stop_step=1).chunks(8)) == [(0, 8)]
    assert list(Order(10, 8, epochs=2, start_step=3).chunks(8)) == []


def test_a_batch_is_asked_for_by_its_step():
    order = Order(10, 8, epochs=2, start_step=1)
    assert order.steps == 2
    assert [order.chunk(step, 8) for step in range(2)] == [(8, 16), (16, 20)]
    assert Order(10, 8).steps is None


def test_the_first_part_of_a_split_gives_every_row():
    for start in (0, 1, 2, 3, 7):
        order = Order(10, 4, seed=1, epochs=8, start_step=start)
        first, later = order.split_at(order.first_full_step)
        begin, end = first.begin, first.end
        assert set(first.rows(begin, end)) == set(range(10))
        assert later.begin == end
        assert end - begin <= 2 * 10 + 4


def test_a_split_of_a_short_order_leaves_nothing_for_later():
    order = Order(10, 4, epochs=1)
    first, later = order.split_at(order.first_full_step)
    assert list(first.chunks(4)) == [(0, 4), (4, 8), (8, 10)]
    assert list(later.chunks(4)) == []


def test_half_are_flipped_anew_each_epoch_wherever_one_enters():
    order = Order(2_000, 8, seed=3, augment=Augment(horizontal_flip=True))
    first, second = (order.draws(begin, begin + 2_000)[:, FLIP] for begin in (0, 2_000))
    assert 0.45 < first.mean() < 0.55
    by_row = [np.argsort(order.rows(0, 2_000)), np.argsort(order.rows(2_000, 4_000))]
    assert 0.4 < (first[by_row[0]] == second[by_row[1]]).mean() < 0.6
    assert order.draws(700, 900)[:, FLIP].tolist() == first[700:900].tolist()
    assert not Order(2_000, 8, seed=3).draws(0, 2_000)[:, FLIP].any()


def test_the_next_readable_row_takes_the_place_of_one_that_is_not():
    order = Order(10, 4, seed=1, epochs=2)
    drawn = order.rows(0, 20)
    bad = drawn[[2, 3, 9]].tolist()
    rows = order.without(bad).rows(0, 20)
    assert not set(rows) & set(bad)
    kept = ~np.isin(drawn, bad)
    assert (rows[kept] == drawn[kept]).all()
    assert rows[2] == rows[3] == drawn[4]
    assert rows[9] == next(row for row in drawn[10:] if row not in bad)


def test_rows_can_be_exchanged_at_their_positions():
    order = Order(10, 4, seed=1, epochs=2, exchanged=((5, 7), (11, 3)))
    drawn = Order(10, 4, seed=1, epochs=2).rows(0, 20)
    drawn[5], drawn[11] = 7, 3
    assert order.rows(4, 12).tolist() == drawn[4:12].tolist()
