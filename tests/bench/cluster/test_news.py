"""An error of TensorFlow on one worker is explained by news of the others, or told in a line."""

import pytest

from feedbench.bench.cluster import session
from feedbench.bench.cluster.hosts import Cluster, Waits
from feedbench.bench.errors import PeerLost
from feedbench.bench.training.team import _await_news

ABORTED = "Graph execution error:\n\nCollective ops is aborted by: Deadline Exceeded\n\nRPC: /x"


@pytest.fixture
def worker(monkeypatch):
    """The session of a worker whose longest silence is short."""
    monkeypatch.setattr(session, "_GRACE_S", 0.05)
    waits = Waits.model_construct(silence_s=0.2)
    cluster = Cluster(("10.0.0.1:4711", "10.0.0.2:4711"), 1, waits, "hosts.toml")
    return session.Session(cluster, {}, lambda line, code: None)


def test_news_that_a_worker_is_lost_is_the_line(worker):
    worker._end = "the chief (10.0.0.1:4711) is lost", 1
    with pytest.raises(PeerLost, match=r"the chief .* is lost"):
        _await_news(worker, ABORTED)


def test_without_news_a_lost_connection_is_a_line_of_its_own(worker):
    words = "TensorFlow cannot reach a worker any more: Deadline Exceeded$"
    with pytest.raises(PeerLost, match=words):
        _await_news(worker, ABORTED)


def test_another_error_is_left_as_it_is(worker):
    _await_news(worker, "Graph execution error:\n\nOut of memory")


def test_a_worker_that_cannot_join_ends_at_once_with_the_news(monkeypatch):
    monkeypatch.setattr(session, "_GRACE_S", 0.05)
    cluster = Cluster(("10.0.0.1:4711", "10.0.0.2:4711"), 1, Waits(), "hosts.toml")
    said = []
    worker = session.Session(cluster, {}, lambda *end: said.append(end))
    worker.fail("TensorFlow cannot join the others: Deadline Exceeded")
    worker._end = "the chief (10.0.0.1:4711) has ended or was killed", 1
    worker.fail("TensorFlow cannot join the others: Deadline Exceeded")
    assert said == [
        ("TensorFlow cannot join the others: Deadline Exceeded", 1),
        ("the chief (10.0.0.1:4711) has ended or was killed", 1),
    ]
