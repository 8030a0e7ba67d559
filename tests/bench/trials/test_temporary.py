"""Temporary folders do not outlive their process, even if it is killed."""

import os
import signal
import subprocess
import sys
import tempfile

import pytest

from feedbench.bench.trials.temporary import TemporaryFolder, remove_abandoned

OWNER = """
import os, sys, time
from feedbench.bench.trials.temporary import TemporaryFolder
folder = TemporaryFolder()
(folder.path / "litter").mkdir()
print(folder.path, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """The folder of temporary files, of this process and of those that it starts."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    remove_abandoned.cache_clear()
    return tmp_path


@pytest.fixture
def owner(place):
    """A process that has such a folder."""
    with subprocess.Popen(
        [sys.executable, "-c", OWNER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        assert running.stdout.readline().startswith(str(place))
        yield running
        running.kill()


def test_a_folder_is_removed_with_all_that_is_in_it(place):
    folder = TemporaryFolder()
    (folder.path / "litter").mkdir()
    folder.remove()
    assert os.listdir(place) == []


def test_the_folder_of_a_killed_process_is_removed_by_the_next(place, owner):
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    assert len(os.listdir(place)) == 1
    TemporaryFolder().remove()
    assert os.listdir(place) == []


def test_the_folder_of_a_running_process_and_a_users_folder_stay(place, owner):
    (place / "feedbench-results").mkdir()
    TemporaryFolder().remove()
    assert len(os.listdir(place)) == 2
