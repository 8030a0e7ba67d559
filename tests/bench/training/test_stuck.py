"""A training that is asked to end while something does not return ends all the same."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

import pytest

# A library that never returns: Python's handlers run, and the read goes on.
PROGRAM = """
import os, signal, sys, time
from feedbench.bench.signals import stop_on_termination
from feedbench.bench.training import stuck

signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
stuck.GRACE_S = float(sys.argv[1])
never, _ = os.pipe()
tell = lambda why: print("told:", why, flush=True)
with (
    stop_on_termination() as asked,
    stuck.ended_if_stuck(asked, "ended", lambda why: tell(why)) as should_stop,
):
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    should_stop()
    time.sleep(float(sys.argv[2]))
    should_stop()
    {body}
print("saved", flush=True)
"""
READY = "print('ready', flush=True)"
HANGS = f"{READY}; os.read(never, 1)"
HANGS_WITH_NOBODY_TO_TELL = f"tell = lambda why: os.read(never, 1); {HANGS}"
HANGS_WHILE_CLOSING = f"""try:
        {READY}
        os.read(never, 1)
    finally:
        os.read(never, 1)"""
STOPS_AFTER_A_STEP = f"{READY}; time.sleep(1)\n    assert should_stop()"
SAVES_SLOWLY = f"""{READY}
    while not should_stop():
        time.sleep(0.01)
    time.sleep(2.5)"""
# Inside a library that no signal interrupts, Python's handlers do not even run.
SEEN_BY_A_THREAD = f"""import ctypes, threading
    def look():
        while not should_stop():
            time.sleep(0.01)
        print("seen", flush=True)
        os._exit(0)
    threading.Thread(target=look).start()
    mutex = (ctypes.c_char * 64)()
    {READY}
    ctypes.CDLL(None).pthread_mutex_lock(mutex)
    ctypes.CDLL(None).pthread_mutex_lock(mutex)"""
FOR_EVER = 1000


def ended(
    body: str,
    grace: float,
    number: int,
    step_s: float = 0,
    *,
    again: bool = False,
    errors_to: int | IO[bytes] = subprocess.PIPE,
) -> tuple[int, str, str]:
    """Exit code, output and errors of the program after a signal.

    Args:
        step_s: how long its first step took.
        again: send the signal until it has ended: two that come at once are one.
        errors_to: its standard error.
    """
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM.replace("{body}", body), str(grace), str(step_s)],
        stdout=subprocess.PIPE,
        stderr=errors_to,
        text=True,
    ) as running:
        try:
            assert running.stdout.readline() == "ready\n", running.communicate()
            running.send_signal(number)
            while again and running.poll() is None:
                time.sleep(0.2)
                running.send_signal(number)
            output, errors = running.communicate(timeout=60)
        finally:
            running.kill()
    return running.returncode, output, errors


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_read_that_never_returns_ends_after_a_while(number, code):
    told = f"told: was ended by {number.name}\n"
    assert ended(HANGS, 0.2, number) == (code, told, "feedbench: ended\n")


def test_others_that_do_not_answer_are_not_waited_for():
    done = ended(HANGS_WITH_NOBODY_TO_TELL, 0.2, signal.SIGTERM)
    assert done == (143, "", "feedbench: ended\n")


INTERRUPTED = 130, "told: was interrupted\n", "feedbench: ended\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_it_ends_even_if_its_last_words_cannot_be_written():
    with Path("/dev/full").open("wb") as full:
        assert ended(HANGS, 0.2, signal.SIGTERM, errors_to=full) == (
            143,
            "told: was ended by SIGTERM\n",
            None,
        )


def test_closing_that_never_returns_ends_after_a_while():
    assert ended(HANGS_WHILE_CLOSING, 0.2, signal.SIGINT) == INTERRUPTED


def test_a_second_ctrl_c_ends_at_once():
    assert ended(HANGS_WHILE_CLOSING, FOR_EVER, signal.SIGINT, again=True) == INTERRUPTED


def test_a_training_that_stops_has_all_the_time_it_needs():
    assert ended(SAVES_SLOWLY, 2, signal.SIGTERM) == (0, "saved\n", "")


def test_a_step_that_takes_long_may_end_before_the_training_stops():
    assert ended(STOPS_AFTER_A_STEP, 0.1, signal.SIGTERM, step_s=2) == (0, "saved\n", "")


def test_another_thread_sees_that_the_training_is_asked_to_stop_while_the_main_one_computes():
    assert ended(SEEN_BY_A_THREAD, FOR_EVER, signal.SIGTERM) == (0, "seen\n", "")
