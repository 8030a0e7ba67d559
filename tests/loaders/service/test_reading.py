"""How far batches may be ahead of one that has not come."""

import pytest

from feedbench.loaders.service.reading import Manner


@pytest.mark.parametrize(
    ("ready", "batch_bytes", "most"), [(7, 1, 16), (22, 1, 44), (22, 2**29, 2), (22, 2**31, 2)]
)
def test_more_workers_may_be_further_apart_as_far_as_memory_allows(ready, batch_bytes, most):
    manner = Manner(in_order=True, shared=False, repeated=False, timeout_s=60, ready=ready)
    assert manner.most_early(batch_bytes) == most
