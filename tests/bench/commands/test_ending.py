"""The last line of a training that ended early says how to go on, as far as that is possible."""

import pytest

from feedbench.bench.cluster.hosts import Cluster, Waits
from feedbench.bench.commands.ending import Ending
from feedbench.bench.training import stuck
from feedbench.trainer import CHECKPOINT

AGAIN = "feedbench train photos --resume out"
ADDRESSES = ("10.0.0.1:4711", "10.0.0.2:4711")


@pytest.fixture
def ending(tmp_path):
    """A function: the ending of a training, on one machine or as a worker."""

    def make(worker=None, *, saved=True):
        if saved:
            (tmp_path / CHECKPOINT).write_text("")
        cluster = None if worker is None else Cluster(ADDRESSES, worker, Waits(), "hosts.toml")
        return Ending(tmp_path, AGAIN, cluster, is_resumed=False)

    return make


def test_one_machine_resumes_from_its_checkpoint(ending):
    one = ending()
    assert one.stopped() == f"Stopped; a checkpoint is saved. To resume: {AGAIN}"
    assert one.interrupted() == f"interrupted; to resume from the last checkpoint: {AGAIN}"


def test_without_a_checkpoint_it_starts_again(ending):
    one = ending(saved=False)
    assert one.stopped() == "Stopped; there is no checkpoint; start again"
    assert one.interrupted() == "interrupted; there is no checkpoint; start again"
    assert ending(0, saved=False).lost("gone", 1) == (
        "gone; there is no checkpoint; start all workers again"
    )


def test_the_chief_is_told_the_command_and_the_others_who_resumes(ending):
    assert ending(0).lost("gone", 1) == (
        f"gone; start the other workers as before, and the chief with: {AGAIN}"
    )
    others = "start all workers again, the chief with --resume if it has a checkpoint"
    for worker in (ending(1), ending(1, saved=False)):
        assert worker.lost("gone", 1) == f"gone; {others}"
        assert worker.interrupted() == f"interrupted; {others}"
        assert worker.interrupted_if_stuck() == f"interrupted; {others}"


def test_who_was_asked_to_stop_has_nothing_to_repair(ending):
    assert ending(1).lost("stopped", 0) == "stopped"


@pytest.mark.parametrize(("worker", "saved", "stays"), [(0, False, 0), (0, True, 1), (1, False, 1)])
def test_a_folder_with_nothing_to_keep_is_removed_before_the_end(
    ending, tmp_path, monkeypatch, worker, saved, stays
):
    said = []
    monkeypatch.setattr(stuck, "end_at_once", lambda *words: said.append(words))
    ending(worker, saved=saved).at_once(2, "gone", 1)
    assert tmp_path.exists() == bool(stays)
    assert [(terminal, code) for terminal, _, code in said] == [(2, 1)]
    tmp_path.mkdir(exist_ok=True)
