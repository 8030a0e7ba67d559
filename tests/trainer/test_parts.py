"""An epoch in parts of as many images each, in steps of whole batches."""

import pytest

from feedbench.trainer.parts import Parts


def rates(count, images, steps):
    parts = Parts(count, images)
    for done, seconds in steps:
        parts.add(done, seconds)
    return parts.rates


def test_each_part_has_the_images_and_the_time_between_its_ends():
    steps = [(10, 1.0), (20, 2.0), (30, 4.0), (40, 6.0)]
    assert rates(2, 40, steps) == (10.0, 5.0)
    assert rates(4, 40, steps) == (10.0, 10.0, 5.0, 5.0)


def test_a_part_ends_with_the_step_that_completes_it():
    assert rates(2, 35, [(10, 1.0), (20, 2.0), (30, 3.0), (35, 3.5)]) == (10.0, 10.0)


@pytest.mark.parametrize("count", [0, 1])
def test_an_epoch_that_is_not_divided_has_no_parts(count):
    assert rates(count, 10, [(10, 1.0)]) == ()
