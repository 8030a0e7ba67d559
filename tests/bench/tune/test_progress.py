"""A search shows what is still in the race, in place on a terminal, else as lines."""

from dataclasses import replace
from io import StringIO
from time import monotonic

import pytest

from feedbench.bench.plan.plan import Choice
from feedbench.bench.report.terminal import Terminal
from feedbench.bench.trials.events import TrialEvent
from feedbench.bench.tune.progress import TuneDisplay, tune_progress
from feedbench.bench.tune.race import Race, Standing
from feedbench.bench.tune.tune import Budget

BEST = Choice(loader="turbo")
RIVALS = [Choice(loader="turbo", settings={"num_threads": number}) for number in (1, 2, 4)]


@pytest.fixture
def budget():
    return Budget(seconds=1200, memory_bytes=None, begin=monotonic())


@pytest.fixture
def race():
    """A race of three, one of which is out after three pairs."""
    race = Race(BEST, RIVALS)
    for index in range(3):
        slower = {str(RIVALS[0]): 50.0 + index, str(RIVALS[1]): 104.0 - 2 * index}
        race.add(index, {str(BEST): 100.0 + index, **slower, str(RIVALS[2]): 99.0 - index})
    race.judge(lambda choice: "")
    return race


@pytest.fixture
def standing(race):
    running = (race.best, *race.running)
    findings = tuple(race.findings("num_threads"))
    return Standing("num_threads", BEST, running, race.rounds_left, findings, ("prefetch",))


@pytest.fixture
def block(trial):
    """The event of a block of the best."""
    return TrialEvent("block", BEST, 3, None, 0, trial("turbo", [90, 110, 100]))


def test_lines_say_the_race_the_blocks_and_the_results(budget, race, standing, block):
    pipe = Terminal(file=StringIO(), width=200)
    with tune_progress(pipe, budget) as (callbacks, on_line):
        on_line("comparing pixels")
        callbacks.on_round(standing)
        callbacks.on_event(block)
        callbacks.on_event(block)
        callbacks.on_finding(race.findings("num_threads")[0])
    lines = pipe.file.getvalue().splitlines()
    assert lines[0] == "comparing pixels"
    assert lines[1].startswith(
        "comparing num_threads: 3 in the race, at most 5 rounds left; 20 min"
    )
    assert lines[2:4] == ["[3] turbo: 100 images/s", "[3] turbo: 100 images/s; so far 100"]
    assert lines[4].startswith("slower: turbo num_threads=1 against turbo: rate ratio 0.50")


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 10)])
def test_a_terminal_shows_who_is_in_and_who_is_out(
    open_terminal, budget, standing, block, columns, rows
):
    terminal = open_terminal(columns, rows)
    with tune_progress(terminal.console(), budget) as (callbacks, on_line):
        on_line("comparing pixels")
        terminal.wait_for("now   comparing pixels")
        callbacks.on_round(standing)
        callbacks.on_event(block)
        screen = terminal.wait_for("race  num_threads: 3 in it")
    terminal.close()
    assert len(screen.lines) < rows
    assert any(line.startswith("▸ turbo  ") and "100" in line for line in screen.lines)
    assert "next  prefetch" in screen.lines
    if columns == 80:
        assert any("num_threads=1" in line and "slower" in line for line in screen.lines)
        assert any("best so far" in line for line in screen.lines)
    assert terminal.screen().lines == [""]


def test_a_row_keeps_its_place_when_it_is_out_of_the_race(budget, race, standing):
    display = TuneDisplay(budget, waits=True)
    last = RIVALS[-1]
    before = replace(standing, running=(BEST, *RIVALS), findings=())
    display.stand(before)
    display.update(TrialEvent("starting", BEST, 0, None, 0, None))
    names = [line.text[2:].split("  ")[0].strip() for line in display.lines(100, 40)]
    display.stand(standing)
    assert RIVALS[0] not in standing.running
    after = [line.text[2:].split("  ")[0].strip() for line in display.lines(100, 40)]
    assert [name for name in after if name.startswith("turbo")] == [
        name for name in names if name.startswith("turbo")
    ]
    assert after.index(str(RIVALS[0])) < after.index(str(last))


def test_a_log_leaves_the_reason_of_a_failure_to_the_result(budget, trial):
    display = TuneDisplay(budget, waits=True)
    failed = trial("turbo", [], error="out of memory")
    event = TrialEvent("failed", BEST, 3, None, 0, failed)
    assert display.event_line(event) == f"[3] failed: {BEST}"


def test_without_a_consumer_waits_are_left_out(budget, standing, block):
    for waits in (True, False):
        display = TuneDisplay(budget, waits=waits)
        display.stand(standing)
        display.update(block)
        text = "\n".join(line.text for line in display.lines(100, 40))
        assert ("waits" in text) is waits
        assert ("▁" in text) is waits
