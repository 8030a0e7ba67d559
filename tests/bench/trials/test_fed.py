"""What other machines made while a process was stopped is in no block; traffic is counted."""

from itertools import count

import numpy as np
import pytest

from feedbench.bench.consumers.base import Drain
from feedbench.bench.trials.fed import Crossing, use_up
from feedbench.loaders import Batch, Stream
from feedbench.loaders.service.traffic import Traffic


def stream(**options):
    row = np.zeros(1, np.int64)
    return Stream((Batch(number, row, row) for number in count()), **options)


@pytest.fixture(autouse=True)
def no_rest(monkeypatch):
    monkeypatch.setattr("feedbench.bench.trials.fed._REST_S", 0)


def test_as_many_batches_are_used_up_as_were_ready():
    fed = stream(ready=lambda: 5)
    use_up(fed, Drain())
    assert next(fed).images == 5


def test_a_loader_that_is_stopped_with_its_process_loses_none():
    alone = stream()
    assert use_up(alone, Drain()) == 0
    assert next(alone).images == 0


def test_a_slow_consumer_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("feedbench.bench.trials.fed._MOST_S", 0)
    fed = stream(ready=lambda: 5)
    use_up(fed, Drain())
    assert next(fed).images == 0


def test_what_crosses_meanwhile_is_counted():
    readings = iter([Traffic(100, 10), Traffic(350, 15)])
    crossing = Crossing(stream(traffic=lambda: next(readings)))
    assert crossing.fields() == {"received_bytes": 250, "sent_bytes": 5}
    assert Crossing(stream()).fields() == {}
