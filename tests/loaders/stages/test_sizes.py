"""The decoded images that a stage resizes again and again."""

from feedbench.loaders.stages.stage import of_all_sizes


def test_a_few_images_lie_evenly_over_the_sizes():
    sizes = [(31 * number) % 160 for number in range(160)]  # each size once, in no order
    assert [sizes[place] for place in of_all_sizes(sizes)] == [10, 30, 50, 70, 90, 110, 130, 150]


def test_fewer_images_are_all_there():
    assert sorted(of_all_sizes([5, 3, 4])) == [0, 1, 2]
