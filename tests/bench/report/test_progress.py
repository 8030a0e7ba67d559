"""Progress without a terminal is a few plain lines."""

from io import StringIO

import pytest

from feedbench.bench.plan.plan import Choice, Timing
from feedbench.bench.report.progress import (
    bench_progress,
    count_progress,
    duration_text,
    scan_progress,
)
from feedbench.bench.report.terminal import Terminal
from feedbench.bench.trials.run import TrialEvent

CHOICE = Choice(loader="tf_data", settings={"prefetch": 2})


@pytest.fixture
def pipe() -> Terminal:
    return Terminal(file=StringIO(), width=100)


def lines(console: Terminal) -> list[str]:
    return console.file.getvalue().splitlines()


@pytest.mark.parametrize(
    ("event", "printed"),
    [
        (TrialEvent("starting", CHOICE, 0, 6), ["[0/6] starting tf_data prefetch=2"]),
        (TrialEvent("warming", CHOICE, 0, 6, images=5, images_needed=10), []),
        (
            TrialEvent("block", CHOICE, 1, 6, rate=1234.5),
            ["[1/6] tf_data prefetch=2: 1,234 images/s"],
        ),
        (
            TrialEvent("failed", CHOICE, 2, 6, reason="[crashed]"),
            ["[2/6] failed tf_data prefetch=2: [crashed]"],
        ),
    ],
    ids=lambda value: getattr(value, "kind", ""),
)
def test_each_event_but_warming_up_is_one_line(pipe, event, printed):
    with bench_progress(pipe) as on_event:
        on_event(event)
    assert lines(pipe) == printed


def test_counts_are_printed_once_per_tenth(pipe):
    with count_progress(pipe, "images", 40) as advance:
        for _ in range(40):
            advance(1)
    assert lines(pipe) == [f"images: {count} of 40" for count in range(4, 41, 4)]


def test_a_scan_counts_its_files(pipe):
    with scan_progress(pipe) as start:
        start(2)(2)
    assert lines(pipe) == ["files read: 2 of 2"]


def test_a_terminal_shows_a_bar_with_the_rate():
    terminal = Terminal(file=StringIO(), width=160, force_terminal=True)
    with bench_progress(terminal) as on_event:
        on_event(TrialEvent("block", CHOICE, 3, 6, rate=1234.5))
    assert "3/6" in terminal.file.getvalue()
    assert "1,234 images/s" in terminal.file.getvalue()


def test_a_single_trial_is_not_called_trials():
    assert ": 1 trial × (" in duration_text(1, Timing())


@pytest.mark.parametrize(("blocks", "least"), [(1, "45 s"), (7, "3 min")])
def test_the_duration_is_stated_beforehand(blocks, least):
    timing = Timing(blocks=blocks, block_seconds=4, warm_up_seconds=5)
    assert duration_text(5, timing) == (
        f"At least {least}: 5 trials × (5 s of warm-up + {blocks} blocks of 4 s). Slow steps and "
        "the start of each trial add to that."
    )
