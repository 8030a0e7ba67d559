"""SIGTERM and SIGHUP are reported or interrupt, and every interrupt waits until it is safe."""

import os
import signal
import subprocess
import sys

import pytest

from feedbench.bench.signals import (
    interrupt_on_termination,
    interrupts_deferred,
    stop_on_termination,
)


@pytest.fixture(params=[signal.SIGINT, signal.SIGTERM, signal.SIGHUP], ids=lambda it: it.name)
def number(request):
    """A signal; all have their default disposition, whatever these tests inherited."""
    defaults = {
        signal.SIGINT: signal.default_int_handler,
        signal.SIGTERM: signal.SIG_DFL,
        signal.SIGHUP: signal.SIG_DFL,
    }
    previous = {number: signal.signal(number, handler) for number, handler in defaults.items()}
    yield request.param
    for number, handler in previous.items():
        signal.signal(number, handler)


def test_a_termination_is_reported_and_its_handler_restored(number):
    if number == signal.SIGINT:
        pytest.skip("Ctrl-C is no termination")
    with stop_on_termination() as received:
        assert not received()
        os.kill(os.getpid(), number)
        assert received()
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_termination_interrupts_as_ctrl_c_does(number):
    interrupt_on_termination()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), number)


def test_an_ignored_termination_stays_ignored(number):
    signal.signal(number, signal.SIG_IGN)
    interrupt_on_termination()
    with stop_on_termination() as received:
        os.kill(os.getpid(), number)
    assert not received()
    assert signal.getsignal(number) is signal.SIG_IGN


def test_an_interrupt_is_raised_after_the_body(number):
    interrupt_on_termination()
    steps = []

    @interrupts_deferred()
    def interrupted() -> None:
        os.kill(os.getpid(), number)
        steps.append("body ended")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert steps == ["body ended"]


@pytest.mark.parametrize(("sent", "code"), [("INT", 130), ("TERM", 143), ("HUP", 129)])
def test_an_interrupted_command_exits_as_in_a_shell(sent, code):
    program = f"""
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.signal(signal.SIGHUP, signal.SIG_DFL)
from feedbench.bench import cli
def app():
    cli.signals.interrupt_on_termination()  # as it does when it knows the command
    os.kill(os.getpid(), signal.SIG{sent})

cli.app = app
cli.main()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (code, "feedbench: interrupted\n")


def test_a_child_started_meanwhile_never_receives_ctrl_c():
    code = "import os, signal; os.kill(os.getpid(), signal.SIGINT); print('alive')"
    with interrupts_deferred():
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "alive\n")
