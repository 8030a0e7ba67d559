"""How far batches may be ahead of one that has not come, and what counts as lost."""

import threading
from types import SimpleNamespace

import numpy as np
import pytest

from feedbench.loaders.own.coverage import RowCounter
from feedbench.loaders.service import reading
from feedbench.loaders.service.ledger import Ledger
from feedbench.loaders.service.reading import Manner, Reading
from feedbench.loaders.service.segments import Segment


@pytest.mark.parametrize(
    ("ready", "batch_bytes", "most"), [(7, 1, 16), (22, 1, 44), (22, 2**29, 2), (22, 2**31, 2)]
)
def test_more_workers_may_be_further_apart_as_far_as_memory_allows(ready, batch_bytes, most):
    manner = Manner(in_order=True, shared=False, repeated=False, timeout_s=60, ready=ready)
    assert manner.most_early(batch_bytes) == most


class OneJob:
    """A job that gives some steps, and then nothing more."""

    error, ended = None, False

    def __init__(self, steps):
        self._steps = iter(steps)

    def take(self):
        step = next(self._steps, None)
        image = SimpleNamespace(
            shape=SimpleNamespace(num_elements=lambda: 1), dtype=SimpleNamespace(size=1)
        )
        return None if step is None else {"step": step, "row": np.array([step]), "image": image}

    def close(self):
        pass


def test_only_batches_that_others_overtook_are_lost_when_a_worker_falls_silent(monkeypatch):
    monkeypatch.setattr(reading, "_PATIENCE_S", 0.25)
    ledger = Ledger(RowCounter(1000))
    alive = SimpleNamespace(ended=list, lost=str)
    manner = Manner(in_order=True, shared=False, repeated=False, timeout_s=60)

    def open_job(segment, steps, protected):
        return OneJob([0, 1, 2, 4, 6] if steps is None else steps.tolist())

    segment = Segment(number=0, first=0, end=1000)
    batches = Reading(segment, open_job, threading.Event(), manner, alive, ledger)
    assert [one["step"] for one in batches.elements()] == list(range(1000))
    assert ledger.asked_again == 2  # 3 and 5; the 993 behind them had not been begun
