"""Nothing is said while answers come; else a line, and the next after three times as long."""

import pytest

from feedbench.bench.trials import silence
from feedbench.bench.trials.silence import Silence, lines_through, silence_line


@pytest.fixture
def clock(monkeypatch):
    """A clock that the test sets, and threads that run at once."""

    class Now:
        seconds = 0.0

    class AtOnce:
        def __init__(self, target, args, daemon):
            self.start = lambda: target(*args)

    monkeypatch.setattr(silence, "monotonic", lambda: Now.seconds)
    monkeypatch.setattr(silence, "Thread", AtOnce)
    return Now


def told_at(clock, one, times):
    told = []
    for clock.seconds in times:
        one.tell(lambda seconds: told.append(seconds) or "waiting")
    return told


def test_lines_come_at_intervals_that_grow(clock, capsys):
    assert told_at(clock, Silence(), range(200)) == [15, 45, 135]
    assert capsys.readouterr().err == "feedbench: waiting\n" * 3


def test_time_that_an_answer_takes_is_no_silence(clock):
    assert told_at(clock, Silence(expected_s=10), range(70)) == [25]


def test_an_answer_begins_it_again(clock):
    one = Silence()
    clock.seconds = 14
    one.restart()
    assert told_at(clock, one, range(14, 40)) == [15]


def test_batches_that_are_all_slow_are_not_all_told(clock):
    one, told = Silence(), []
    for begin in (0, 40, 80, 120):
        told += told_at(clock, one, range(begin, begin + 40))
        one.restart()
    assert told == [15]


def test_nothing_is_said_of_imports_at_first_and_the_line_is_looked_for_again(clock, capsys):
    one = Silence()
    for clock.seconds in range(50):
        one.tell(lambda seconds: silence_line("make", seconds, "p.py" if seconds > 20 else ""))
    assert capsys.readouterr().err == "feedbench: make: nothing for 21 s; it is at p.py\n"
    assert silence_line("make", 44, "") == ""
    assert silence_line("make", 45, "").endswith("none of your own Python code is running")


def test_a_live_display_writes_the_lines_above_itself(clock, capsys):
    above = []
    with lines_through(above.append):
        told_at(clock, Silence(), range(20))
    assert above == ["feedbench: waiting"]
    assert capsys.readouterr().err == ""
