"""Processes of a diagnosis that compute on one device run beside each other only if they fit."""

import pytest

from feedbench.bench.diagnose import room as module
from feedbench.bench.diagnose.room import Room

GB = 10**9


@pytest.fixture
def room(monkeypatch):
    """A function: the room after a consumer that holds 10 GB of host memory has warmed up."""

    def make(free_host=100 * GB, free_gpu=(None, None), takes_one=False):
        left = iter(free_gpu)
        monkeypatch.setattr(module, "takes_one_process", lambda gpus: takes_one)
        monkeypatch.setattr(module, "available_memory", lambda: free_host)
        monkeypatch.setattr(module, "tree_memory", lambda pid: 10 * GB)
        monkeypatch.setattr(module, "free_gpu_memory", lambda gpus: next(left, free_gpu[-1]))
        made = Room([])
        made.before_start()
        made.after_warm_up()
        return made

    return make


@pytest.mark.parametrize(
    ("free", "why"),
    [
        ({}, ""),
        ({"free_host": 16 * GB}, ""),
        ({"free_host": 14 * GB}, "two trainers do not fit into memory"),
        ({"free_gpu": (24 * GB, 15 * GB)}, ""),  # one holds 9 GB
        ({"free_gpu": (24 * GB, 12 * GB)}, "two trainers do not fit into memory"),
    ],
    ids=str,
)
def test_a_second_trainer_starts_only_if_the_memory_of_host_and_gpu_suffices(room, free, why):
    assert room(**free).why_not_beside("end to end", "consumer", 1) == why


def test_a_gpu_in_exclusive_mode_takes_one_process_after_the_other(room):
    exclusive = room(takes_one=True)
    why = "the GPU takes one process at a time"
    assert exclusive.why_not_beside("consumer", "transfer", 1) == why
    assert exclusive.why_not_beside("end to end", "consumer", 1) == why


def test_what_does_not_compute_on_the_device_is_in_nobodys_way(room):
    full = room(free_host=0, takes_one=True)
    assert full.why_not_beside("end to end", "loader warm", 1) == ""
    assert full.why_not_beside("stages", "consumer", 1) == ""
