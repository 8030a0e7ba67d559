"""Trainings on several workers or devices are killed at every stage, and resumed with others."""

import json
import signal
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from trainings import Cluster, error_line, finished

from feedbench.trainer.checkpoint import CHECKPOINT

pytestmark = pytest.mark.beyond
LOST = "has ended or was killed"
STEPS_OF_EPOCHS = [6, 6, 5]  # the third begins in the middle of a batch


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


def test_a_worker_that_is_interrupted_in_a_long_step_is_told_to_the_other(cluster):
    cluster.hosts(2)
    place = "trainer.base:TrainerBase.step"
    chief, other = (
        cluster.start(number, out="interrupted", halting=place if number else None)
        for number in range(2)
    )
    cluster.wait_until_halted(other)
    while other.poll() is None:  # it ends at the second Ctrl-C, or after half a minute
        other.send_signal(signal.SIGINT)
        time.sleep(0.2)
    assert "interrupted; start all workers again" in error_line(finished(other, 130))
    line = error_line(finished(chief, 1))
    assert f"{cluster.name(1)} was interrupted; " in line


class Survivor:
    """One training, whose workers are killed again and again."""

    folder = "survivor"

    def __init__(self, cluster):
        self.cluster = cluster
        self.path = cluster.root / self.folder
        self.is_begun = False

    def start(self, worker, halting=None):
        if self.is_begun and not worker:
            words = ("--resume", self.folder, "--checkpoint-steps", 1)
            return self.cluster.start(worker, *words, recipe=False, halting=halting)
        return self.cluster.start(worker, "--checkpoint-steps", 1, out=self.folder, halting=halting)

    def pair(self, halted, place):
        """Two workers, one of which stands still at a place."""
        workers = [self.start(one, place if one == halted else None) for one in range(2)]
        self.cluster.wait_until_halted(workers[halted])
        return workers

    def killed(self, halted, place):
        """Kill one of two workers at a place; return the line of the other."""
        workers = self.pair(halted, place)
        _kill(workers[halted])
        line = error_line(finished(workers[1 - halted], 1))
        assert f"{self.cluster.name(halted)} {LOST}; " in line
        return line


def _kill(process):
    process.kill()
    finished(process, -signal.SIGKILL)


def test_a_training_whose_workers_are_killed_at_every_stage_is_finished(cluster):
    cluster.hosts(2)
    one = Survivor(cluster)
    line = one.killed(1, "trainer.base:TrainerBase.step")  # the first step
    assert line.endswith("there is no checkpoint; start all workers again")
    assert not one.path.exists()
    # The chief has sent one to the other, and written one; it writes the next.
    one.killed(0, "trainer.checkpoint:_write:3")
    assert (one.path / f".part.{CHECKPOINT}").exists()
    one.is_begun = True
    line = one.killed(1, "trainer.loop:_Run._complete")  # between epochs
    assert f"the chief with: feedbench train {cluster.photos} --resume survivor" in line
    alone = one.start(None, "trainer.loop:_Run._validate")
    cluster.wait_until_halted(alone)
    _kill(alone)
    chief, other = one.pair(0, "bench.training.train:write_results")  # the end
    assert "Trained; the chief writes" in finished(other)[0]
    _kill(chief)
    for last in [one.start(worker) for worker in range(2)]:
        finished(last)
    assert _images(cluster, one.folder) == [8 * steps for steps in STEPS_OF_EPOCHS]
    record = json.loads((one.path / "training.json").read_text())
    assert [worker["images"] for worker in record["workers"]] == [0, 0]


def test_a_training_that_is_killed_on_two_devices_resumes_on_one_and_on_two(cluster):
    resumed = ("--resume", "devices", "--checkpoint-steps", 1)
    stages = [
        (("--checkpoint-steps", 1, "--devices", "cpu:2"), "trainer.checkpoint:_write:2"),
        ((*resumed, "--devices", 1), "trainer.loop:_Run._validate"),
    ]
    for words, place in stages:
        begins = "--resume" not in words
        one = cluster.start(None, *words, out="devices", recipe=begins, halting=place)
        cluster.wait_until_halted(one)
        _kill(one)
    refused = cluster.start(None, *resumed, "--devices", "cpu:3", recipe=False)
    line = error_line(finished(refused, 2))
    assert "8 images cannot be divided equally over 3 devices; use 2 devices" in line
    finished(cluster.start(None, *resumed, recipe=False))  # on two, as it was started
    assert _images(cluster, "devices") == [8 * steps for steps in STEPS_OF_EPOCHS]
    record = json.loads((cluster.root / "devices" / "training.json").read_text())
    assert record["devices"] == "cpu:2"


def _images(cluster, folder):
    """Images of each epoch."""
    return [epoch[0] for epoch in cluster.curve(folder)]
