"""Numbers with their nouns."""

import pytest

from feedbench.bench.quantities import quantity


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "block", "0 blocks"),
        (1, "block", "1 block"),
        (2, "class", "2 classes"),
        (1200, "image", "1,200 images"),
    ],
)
def test_a_noun_follows_its_number(count, noun, text):
    assert quantity(count, noun) == text
