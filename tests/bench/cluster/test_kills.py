"""A worker is lost while TensorFlow connects all of them: the other ends with one line."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from trainings import Cluster, error_line, finished

pytestmark = pytest.mark.beyond
LOST = "has ended or was killed"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory, splits_folder):
    return Cluster(tmp_path_factory.mktemp("kills"), splits_folder)


@pytest.mark.parametrize("lost", [0, 1], ids=["chief", "worker"])
def test_a_worker_killed_while_all_connect_ends_the_other(cluster, lost):
    cluster.hosts(2, silence_s=8)
    place, out = "bench.cluster.strategy:connect", f"joining-{lost}"
    workers = [
        cluster.start(number, out=out, halting=place if number == lost else None)
        for number in range(2)
    ]
    cluster.wait_until_halted(workers[lost])
    workers[lost].kill()
    workers[lost].communicate()
    line = error_line(finished(workers[1 - lost], 1))
    assert f"{cluster.name(lost)} {LOST}; " in line
    assert "start all workers again" in line
