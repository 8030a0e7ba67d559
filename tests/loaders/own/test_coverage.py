"""Rows that never come, or come too often, are counted; what fills no batch is not missed."""

import numpy as np

from feedbench.loaders.own.coverage import RowCounter


def counted(images, *batches, first_step=0):
    counter = RowCounter(images, first_step)
    for rows in batches:
        counter.add(np.array(rows))
    return counter.coverage()


def test_without_rows_nothing_is_known():
    assert counted(9) is None


def test_whole_epochs_are_even():
    assert counted(4, [3, 0], [2, 1], [0, 1], [2, 3]) == (0, 0)


def test_rows_that_never_come_are_left_out_after_two_epochs():
    batch = [0, 1, 2]
    assert counted(4, batch) == (0, 0)
    assert counted(4, batch, batch, batch) == (1, 0)


def test_rows_that_come_too_often_are_repeated():
    assert counted(4, [0, 0], [1, 2]) == (0, 1)
    assert counted(4, [0, 1] * 4) == (2, 2)


def test_the_rest_of_an_epoch_and_the_next_repeat_no_row():
    assert counted(4, [2, 3], [3, 2], first_step=1) == (0, 0)
    assert counted(4, *[[2, 3]] * 4, first_step=1) == (2, 2)


def test_what_does_not_fill_a_batch_makes_no_row_repeated():
    epoch = [[0, 1, 2], [3, 4, 5]]
    assert counted(8, *epoch * 10) == (2, 0)


def test_rows_that_are_reported_as_dropped_are_not_missed():
    counter = RowCounter(4)
    for rows in [[0, 1], [3, 0], [1, 3]] * 100:
        counter.add(np.array(rows))
    assert counter.coverage() == (1, 3)
    assert counter.coverage([2]) == (0, 0)
    assert counter.coverage([0]) == (1, 3)
