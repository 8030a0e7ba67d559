"""Real child processes that crash, hang, are killed or send unexpected answers."""

import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from feedbench.bench.errors import ChildDied, TrialError
from feedbench.bench.trials import child as child_module
from feedbench.bench.trials.child import Child, child_environment, close_all
from feedbench.bench.trials.protocol import Message, Service, decode, encode

sys.path.insert(0, str(Path(__file__).parent))
from unruly_child import Question, Reply, Sign, UnrulyJob

SERVICE = Service("unruly_child", (Reply, Sign))
LIMIT_S = 60


@pytest.fixture(autouse=True)
def _importable(monkeypatch):
    paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


def unruly(act: str, log: Path | None = None, **values) -> Child:
    return Child(SERVICE, UnrulyJob(act=act, **values), log)


def error_of(act: str, log: Path, limit_s: float = LIMIT_S) -> TrialError:
    with unruly(act, log) as child:
        with pytest.raises(TrialError) as raised:
            child.wait_for(Reply, limit_s, "warm-up")
        assert not psutil.pid_exists(child.pid)
    assert "\n" not in str(raised.value)
    return raised.value


@pytest.mark.parametrize(
    ("act", "words"),
    [
        ("abort", "crashed in warm-up: SIGABRT; see {log}"),
        ("exit", "ended with exit code 3 in warm-up; see {log}"),
        ("kill", "crashed in warm-up: SIGKILL; see {log}"),
    ],
)
def test_a_dead_child_is_reported_with_its_exit_code_or_signal(act, words, tmp_path):
    error = error_of(act, tmp_path / "log")
    assert isinstance(error, ChildDied)
    assert str(error) == words.format(log=tmp_path / "log")


def test_a_child_killed_by_the_kernel_is_reported_as_out_of_memory(tmp_path, monkeypatch):
    kills = iter([4, 5])
    monkeypatch.setattr(child_module, "out_of_memory_kills", lambda: next(kills))
    error = error_of("kill", tmp_path / "log")
    assert str(error) == "out of memory: the kernel killed it in warm-up (SIGKILL)"


def test_a_child_that_hangs_is_killed_at_its_limit(tmp_path):
    error = error_of("hang", log := tmp_path / "log", limit_s=0.5)
    assert not isinstance(error, ChildDied)
    assert str(error) == f"time limit: warm-up did not finish within 0.5 s; see {log}"


def test_processes_forked_by_a_dead_child_are_killed_too(tmp_path):
    signs = []
    with unruly("fork", tmp_path / "log") as child, pytest.raises(ChildDied, match="SIGABRT"):
        child.wait_for(Reply, LIMIT_S, "warm-up", signs.append)
    (sign,) = signs
    deadline = time.monotonic() + 60
    while psutil.pid_exists(sign.pid) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not psutil.pid_exists(sign.pid)


def test_output_of_libraries_is_not_taken_for_an_answer(tmp_path):
    log = tmp_path / "log"
    with unruly("print", log, text="an answer") as child:
        assert child.wait_for(Reply, LIMIT_S, "warm-up").text == "an answer"
    assert set(log.read_text().splitlines()) == {"printed from C", "printed from Python"}


def test_an_invalid_line_is_quoted_in_the_error(tmp_path):
    error = error_of("garbage", tmp_path / "log")
    assert str(error).startswith("invalid answer in warm-up: 'no JSON'; see ")


def test_temporary_files_of_a_killed_child_are_removed(tmp_path, monkeypatch):
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    error_of("litter", tmp_path / "log")
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.mark.timeout(120)
def test_a_second_interrupt_does_not_break_the_waiting_for_an_answer(tmp_path):
    """It may come at any instruction by which Python ends the waiting for the first."""

    def interrupt(number, frame):
        while frame is not None and frame.f_code is not Child.wait_for.__code__:
            frame = frame.f_back
        if frame is not None:
            raise KeyboardInterrupt

    previous = signal.signal(signal.SIGALRM, interrupt)
    with unruly("hang", tmp_path / "log") as child:
        # Far longer than the handler takes, or calls of it would pile up inside each other.
        signal.setitimer(signal.ITIMER_REAL, 1e-3, 1e-3)
        try:
            for _ in range(500):
                with suppress(KeyboardInterrupt):
                    child.wait_for(Reply, LIMIT_S, "warm-up")
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)


def test_a_missing_module_is_named_in_the_captured_errors():
    with Child(Service("no_such_module", (Reply,)), UnrulyJob(act="answer")) as child:
        with pytest.raises(ChildDied, match=r"ended with exit code 1 in warm-up$"):
            child.wait_for(Reply, LIMIT_S, "warm-up")
        assert "No module named no_such_module" in child.errors


def test_a_user_error_is_reported_without_a_traceback(tmp_path):
    assert str(error_of("refuse", tmp_path / "log")) == "epochs: must be at least 1, got 0"
    assert (tmp_path / "log").read_text() == ""


def test_an_exception_is_one_line_with_its_traceback_in_the_log(tmp_path):
    assert str(error_of("raise", tmp_path / "log")) == "IndexError: list index out of range"
    assert "Traceback" in (tmp_path / "log").read_text()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("act", ["raise", "refuse"])
def test_the_reason_arrives_even_if_the_log_is_on_a_full_disk(act, tmp_path):
    log = tmp_path / "log"
    log.symlink_to("/dev/full")
    assert "ended" not in str(error_of(act, log))


def test_an_unexpected_answer_is_refused(tmp_path):
    service = Service("unruly_child", (Sign,))
    with (
        Child(service, UnrulyJob(act="answer"), tmp_path / "log") as child,
        pytest.raises(TrialError, match=r"invalid answer in warm-up: .*Reply"),
    ):
        child.wait_for(Sign, LIMIT_S, "warm-up")


def state_of(pid: int, expected: str) -> str:
    """Return the state in /proc; wait for the expected one, since signals take a moment."""
    deadline = time.monotonic() + 60
    while True:
        text = Path(f"/proc/{pid}/stat").read_text()
        state = text.rpartition(")")[2].split()[0]
        if state == expected or time.monotonic() > deadline:
            return state
        time.sleep(0.01)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_child_is_stopped_between_two_requests(tmp_path):
    with unruly("answer", tmp_path / "log") as child:
        child.wait_for(Reply, LIMIT_S, "warm-up")
        assert state_of(child.pid, "S") == "S"
        child.pause()
        assert state_of(child.pid, "T") == "T"
        for number in (1, 2):
            reply = child.ask(Question(number=number), Reply, LIMIT_S, "a block")
            assert reply.number == number
            assert state_of(child.pid, "T") == "T"


def test_paused_children_exit_when_their_input_is_closed(tmp_path):
    children = {number: unruly("answer", tmp_path / "log") for number in (1, 2)}
    pids = [child.pid for child in children.values()]
    for child in children.values():
        child.wait_for(Reply, LIMIT_S, "warm-up")
        child.pause()
    processes = [child._process for child in children.values()]
    close_all(children)
    assert not children
    assert [process.returncode for process in processes] == [0, 0]
    assert not any(psutil.pid_exists(pid) for pid in pids)


def test_children_that_ctrl_c_kept_from_being_closed_are_closed_later(tmp_path, monkeypatch):
    children = {number: unruly("answer", tmp_path / "log") for number in (1, 2, 3)}
    processes = [child._process for child in children.values()]
    with monkeypatch.context() as patch:
        patch.setattr(Child, "close", interrupted)
        with pytest.raises(KeyboardInterrupt):
            close_all(children, [1, 2])
    assert [*children] == [1, 2, 3]
    close_all(children, [1, 2])
    assert [*children] == [3]
    close_all(children)
    assert not children
    assert all(process.poll() is not None for process in processes)


def interrupted(child, grace_s):
    raise KeyboardInterrupt


PARENT = """
import sys
from pathlib import Path
from feedbench.bench.trials.child import Child
from feedbench.bench.trials.protocol import Service
from unruly_child import Reply, UnrulyJob
child = Child(Service("unruly_child", (Reply,)), UnrulyJob(act="answer"), Path(sys.argv[1]))
child.wait_for(Reply, 60, "warm-up")
child.pause()
print(child.pid, flush=True)
sys.stdin.read()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG")
def test_a_paused_child_dies_with_its_parent(tmp_path):
    with subprocess.Popen(
        [sys.executable, "-c", PARENT, str(tmp_path / "log")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
        parent.communicate()
    assert not psutil.wait_procs([child], timeout=60)[1]


def test_children_allocate_gpu_memory_as_needed(monkeypatch):
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    monkeypatch.delenv("XLA_PYTHON_CLIENT_PREALLOCATE", raising=False)
    environment = child_environment()
    assert environment["TF_CPP_MIN_LOG_LEVEL"] == "0"
    assert environment["XLA_PYTHON_CLIENT_PREALLOCATE"] == "false"
    assert environment["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize(
    "message",
    [
        Reply(text="é \u2028 \n two lines"),
        Reply(text=os.fsdecode(b"photo-\xff.jpg")),
        Reply(text="", number=math.inf),
    ],
    ids=["text", "undecodable path", "infinite"],
)
def test_a_message_round_trips_as_one_ascii_line(message):
    line = encode(message)
    assert line.isascii()
    assert line.count("\n") == 1
    assert decode(line, (Sign, Reply)) == message


@pytest.mark.parametrize(
    "line", ["", "[]", "3", "{}", '{"Reply": {}}', '{"Other": {}}', '{"a": 1, "b": 2}']
)
def test_a_line_that_is_not_a_message_is_refused(line):
    with pytest.raises(ValueError):  # noqa: PT011
        decode(line, (Reply,))


def test_messages_are_immutable():
    message: Message = Reply(text="one")
    with pytest.raises(ValueError, match="frozen"):
        message.text = "other"


ORPHAN = """
import os, subprocess, sys
command = [sys.executable, "-m", "unruly_child", str(os.getpid()), "0"]
child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=2)
child.stdin.write(b'{"UnrulyJob": {"act": "hang"}}\\n')
child.stdin.flush()
print(child.pid, flush=True)
os.kill(os.getpid(), 9)
"""


def test_a_child_whose_parent_died_early_exits(tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", ORPHAN], stdout=subprocess.PIPE, text=True, check=False
    )
    pid = int(done.stdout)
    deadline = time.monotonic() + 60
    while psutil.pid_exists(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not psutil.pid_exists(pid)
