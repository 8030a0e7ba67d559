"""What the processes of an audit say to each other arrives, however late it is read."""

import io
import json
import signal
import socket
from collections import deque

import pytest

from feedbench.loaders import SourceError, WorkerError
from feedbench.loaders.audit import worker
from feedbench.loaders.audit.messages import beginning_as_bytes
from feedbench.loaders.audit.pool import _Pool, _Slot
from feedbench.loaders.audit.probe import ProbeLimits

GROUPS = [[(1, b"one.jpg")], [(2, b"two.jpg")]]
OLD, NEW = 101, 102  # processes of one slot


def died(process, status=-signal.SIGSEGV):
    """What the process that forks the others says of one that has died."""
    event = {"event": "died", "slot": 0, "process": process, "status": status}
    return json.dumps(event).encode() + b"\n"


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
    pool._log = "audit.log"
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
    monkeypatch.setattr(worker._Forks, "_kill", lambda forks, pid: killed.append(pid))
    pool = pool_of(*slots)
    pool._control = near
    slots[0].probing, slots[1].probing = OLD, NEW
    pool._kill_late()
    near.shutdown(socket.SHUT_WR)
    worker._Forks(far, [], ProbeLimits()).serve()
    assert killed == [OLD, NEW]


@pytest.mark.parametrize("is_read_before", [False, True])
def test_a_process_that_probes_before_the_death_of_the_last_is_read_has_a_time_limit(
    slots, is_read_before
):
    slot, _ = slots
    pool = pool_of(slot)
    pool._reader = io.BytesIO(died(OLD))
    slot.probing = OLD
    slot.far.send(beginning_as_bytes(NEW))  # of the second group
    if is_read_before:
        assert not list(pool._receive(slot))
    ((number, facts),) = pool._read_control()
    assert (number, facts["pillow"]) == (1, "a decoder crashed on it (SIGSEGV)")
    assert list(slot.waiting) == GROUPS[1:]
    assert slot.probing == NEW


def test_a_process_that_has_not_begun_to_probe_has_no_time_limit_yet(slots):
    slot, _ = slots
    pool = pool_of(slot)
    pool._reader = io.BytesIO(died(OLD))
    slot.far.send(beginning_as_bytes(OLD))
    assert len(list(pool._read_control())) == 1
    assert slot.probing is None


def test_only_the_process_that_is_late_is_killed_not_the_one_that_replaced_it(control, monkeypatch):
    killed = []
    monkeypatch.setattr(worker.os, "kill", lambda pid, number: killed.append(pid))
    forks = worker._Forks(control[1], [], ProbeLimits())
    forks._pids = {NEW: 0}
    forks._kill(OLD)
    assert not killed
    forks._kill(NEW)
    assert killed == [NEW]


def test_a_process_that_dies_before_it_has_begun_blames_no_file(slots):
    slot, _ = slots
    pool = pool_of(slot)
    pool._reader = io.BytesIO(died(OLD, 1))
    assert not list(pool._read_control())
    assert sorted(slot.waiting) == GROUPS


@pytest.mark.parametrize(
    ("has_begun", "status", "error", "text"),
    [
        (False, 1, SourceError, "processes ended with exit code 1; see audit.log"),
        (True, -signal.SIGKILL, WorkerError, "SIGKILL, as the system does when memory runs out"),
    ],
    ids=["no process starts", "each is killed"],
)
def test_processes_that_die_again_and_again_end_the_scan(slots, has_begun, status, error, text):
    slot, _ = slots
    pool = pool_of(slot)

    def die(process):
        if has_begun:
            slot.far.send(beginning_as_bytes(process))
        pool._reader = io.BytesIO(died(process, status))
        for number, _ in pool._read_control():
            pool._retries.append([(number, b"one.jpg")])
        pool._feed(slot)

    with pytest.raises(error, match=text):
        all(die(process) is None for process in range(100))


def test_a_file_whose_process_is_killed_is_refused_until_the_next_scan(slots):
    slot, _ = slots
    pool = pool_of(slot)
    slot.far.send(beginning_as_bytes(OLD))
    pool._reader = io.BytesIO(died(OLD, -signal.SIGKILL))
    ((number, facts),) = pool._read_control()
    assert number == 1
    assert facts["pillow"].startswith("refused: its process was killed, as the system does when")
    assert (facts["bytes"], facts["modified_ns"]) == (0, 0)  # no file has this stamp
