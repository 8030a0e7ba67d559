"""SIGTERM is reported without ending the process, and Ctrl-C waits until it is safe."""

import os
import signal
import subprocess
import sys

import pytest

from feedbench.bench.signals import interrupts_deferred, stop_on_sigterm


def test_sigterm_is_reported_and_its_handler_restored():
    previous = signal.getsignal(signal.SIGTERM)
    with stop_on_sigterm() as received:
        assert not received()
        os.kill(os.getpid(), signal.SIGTERM)
        assert received()
    assert signal.getsignal(signal.SIGTERM) is previous


def test_ctrl_c_is_raised_after_the_body():
    steps = []

    @interrupts_deferred()
    def interrupted() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        steps.append("body ended")

    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            interrupted()
        assert steps == ["body ended"]
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, previous)


def test_a_child_started_meanwhile_never_receives_ctrl_c():
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('alive')"
    with interrupts_deferred():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "alive\n")
