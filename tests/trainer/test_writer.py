"""Files that are written beside the training, each whole or not there."""

import re
import threading
import time
from pathlib import Path

import pytest

from feedbench.trainer.errors import CheckpointError
from feedbench.trainer.writer import Writer

NONE = Path("no-checkpoint.npz")


def wait_until(condition):
    deadline = time.monotonic() + 8
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


def test_all_jobs_are_done_when_the_block_ends():
    done = []
    with Writer(NONE) as writer:
        for name in "abc":
            writer.submit(name, lambda name=name: done.append(name))
    assert done == ["a", "b", "c"]


def test_a_waiting_job_is_replaced_by_a_newer_one_of_its_name():
    done, begun, may_end = [], threading.Event(), threading.Event()

    def blocks():
        begun.set()
        may_end.wait(120)

    with Writer(NONE) as writer:
        writer.submit("checkpoint", blocks)
        begun.wait(120)
        writer.submit("checkpoint", lambda: done.append("old"))
        writer.submit("history", lambda: done.append("history"))
        writer.submit("checkpoint", lambda: done.append("new"))
        may_end.set()
    assert done == ["history", "new"]


def test_submitting_does_not_wait_for_a_job():
    may_end, done = threading.Event(), []
    with Writer(NONE) as writer:
        writer.submit("slow", lambda: may_end.wait(120))
        writer.submit("next", lambda: done.append(1))
        assert not done
        may_end.set()
    assert done == [1]


def test_the_thread_rests_after_it_has_written_unless_a_job_is_urgent():
    done, begun = [], threading.Event()

    def slow():
        time.sleep(0.2)  # the rest then lasts ten seconds
        begun.set()

    with Writer(NONE) as writer:
        writer.submit("checkpoint", slow)
        begun.wait(120)
        writer.submit("checkpoint", lambda: done.append("after an epoch"))
        time.sleep(0.3)
        assert not done
        writer.submit("urgent", lambda: done.append("asked for"), at_once=True)
        wait_until(lambda: len(done) == 2)
    assert done == ["after an epoch", "asked for"]


def test_a_failed_write_is_one_line_that_promises_no_checkpoint_that_is_not_there(tmp_path):
    def fails():
        (tmp_path / "nowhere" / "file").write_text("")

    checkpoint = tmp_path / "checkpoint.npz"
    for remedy in ("there is no checkpoint: start again", "the last checkpoint is intact: .*--res"):
        with (
            pytest.raises(CheckpointError, match=rf"nowhere/file: No such .*; {remedy}") as raised,
            Writer(checkpoint) as writer,
        ):
            writer.submit("checkpoint", fails)
        assert "\n" not in str(raised.value)
        checkpoint.touch()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_full_disk_is_named_by_the_folder_if_the_error_names_no_file(tmp_path):
    def fails():
        with Path("/dev/full").open("w") as file:
            file.write("text")

    with (
        pytest.raises(CheckpointError, match=rf"^{re.escape(str(tmp_path))}: No space left on "),
        Writer(tmp_path / "checkpoint.npz") as writer,
    ):
        writer.submit("checkpoint", fails)


def test_an_error_that_is_not_the_systems_comes_out_as_it_is():
    with pytest.raises(ZeroDivisionError), Writer(NONE) as writer:
        writer.submit("job", lambda: 1 / 0)


def test_an_error_in_the_block_is_not_hidden_by_one_of_a_job():
    def train():
        with Writer(NONE) as writer:
            writer.submit("job", lambda: 1 / 0)
            raise KeyError("of the block")

    with pytest.raises(KeyError):
        train()
