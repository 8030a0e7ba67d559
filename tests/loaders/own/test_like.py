"""The first batch of a user's own loader, repeated: what their model does without waiting."""

import numpy as np

from feedbench.loaders import BatchSpec, open_loader, scan

PIPELINE = """
    import numpy as np

    closed = []

    def make(batch_size, value=0):
        images = np.full((batch_size, 3), value)
        try:
            while True:
                yield {"a": images}, (images[:, 0], images[:, 1])
                images += 1
        finally:
            images[:] = 99
    """


def test_the_first_batch_of_an_own_loader_is_repeated_in_memory_of_its_own(write, class_folder):
    write("feed.py", PIPELINE)
    settings = {"like": "feed.py:make", "like_settings": {"value": 7}}
    spec = BatchSpec(batch_size=4)
    with open_loader("synthetic", scan(class_folder), spec, settings) as stream:
        for batch, _ in zip(stream, range(3), strict=False):
            np.testing.assert_array_equal(batch.images["a"], np.full((4, 3), 7))
            np.testing.assert_array_equal(batch.labels[1], np.full(4, 7))
            assert batch.rows is None
