"""What the processes of an audit say to each other arrives, however late it is read."""

import io
import json
import signal
import socket
from collections import deque

import pytest

from feedbench.loaders.audit import worker
from feedbench.loaders.audit.messages import results_as_bytes
from feedbench.loaders.audit.pool import _Pool, _Slot
from feedbench.loaders.audit.probe import ProbeLimits

GROUPS = [[(1, b"one.jpg")], [(2, b"two.jpg")]]


@pytest.fixture
def control():
    """Both ends of the socket between an audit and the process that forks those that decode."""
    ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    before = signal.getsignal(signal.SIGCHLD)
    yield ends
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, before)
    for end in ends:
        end.close()


def pool_of(*slots):
    """A pool without processes."""
    pool = object.__new__(_Pool)
    pool._slots, pool._limits = slots, ProbeLimits(seconds=0)
    pool._files, pool._retries = iter(()), []
    return pool


@pytest.fixture
def slots():
    made = _Slot(), _Slot()
    for slot in made:
        slot.waiting = deque(GROUPS)
    yield made
    for slot in made:
        slot.socket.close()
        slot.far.close()


def test_several_processes_that_are_late_at_once_are_all_killed(control, slots, monkeypatch):
    """As after the machine was suspended, or while a network share does not answer."""
    near, far = control
    killed = []
    monkeypatch.setattr(worker._Forks, "_kill", lambda forks, slot: killed.append(slot))
    pool = pool_of(*slots)
    pool._control = near
    for slot in slots:
        slot.warm = True
    pool._kill_late()
    near.shutdown(socket.SHUT_WR)
    worker._Forks(far, [], ProbeLimits()).serve()
    assert killed == [0, 1]


def test_a_process_that_probes_before_the_death_of_the_last_is_read_has_a_time_limit(slots):
    slot, _ = slots
    pool = pool_of(slot)
    died = {"event": "died", "slot": 0, "status": -signal.SIGSEGV}
    pool._reader = io.BytesIO(json.dumps(died).encode() + b"\n")
    slot.warm = True
    slot.far.send(results_as_bytes([]))  # by the next process, which probes the second group
    ((number, facts),) = pool._read_control()
    assert (number, facts["pillow"]) == (1, "a decoder crashed on it (SIGSEGV)")
    assert list(slot.waiting) == GROUPS[1:]
    assert slot.warm


def test_a_process_that_has_not_begun_to_probe_has_no_time_limit_yet(slots):
    slot, _ = slots
    pool = pool_of(slot)
    died = {"event": "died", "slot": 0, "status": -signal.SIGSEGV}
    pool._reader = io.BytesIO(json.dumps(died).encode() + b"\n")
    slot.warm = True
    assert len(list(pool._read_control())) == 1
    assert not slot.warm
