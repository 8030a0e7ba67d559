"""A diagnosis shows each part with its rate as it is measured."""

import re
from dataclasses import replace
from io import StringIO
from pathlib import Path

import pytest

from feedbench.bench.diagnose import pace as pace_module
from feedbench.bench.diagnose.events import DiagnosisEvent
from feedbench.bench.diagnose.pace import DiagnosisPace
from feedbench.bench.diagnose.processes import process_text
from feedbench.bench.diagnose.progress import diagnosis_progress
from feedbench.bench.diagnose.record import Part, read_diagnosis
from feedbench.bench.diagnose.setup import DiagnosisTiming
from feedbench.bench.report.terminal import Terminal

RECORD = Path(__file__).parents[3] / "results" / "diagnose-clothing" / "diagnosis-record.json"
ROUNDS = 7


@pytest.fixture(scope="module")
def events():
    """The events of a diagnosis that was published, until its last round."""
    record = read_diagnosis(RECORD)
    parts = [part.model_copy(update={"blocks": []}) for part in record.parts]
    empty = record.model_copy(update={"parts": parts})
    told = [DiagnosisEvent("starting", empty, process_text(None, record.consumer), 2)]
    for round_index in range(max(block.round for part in record.parts for block in part.blocks)):
        for number, part in enumerate(record.parts):
            blocks = [block for block in part.blocks if block.round <= round_index]
            following = record.parts[number + 1] if number + 1 < len(parts) else None
            about = {"round": round_index, "part": part, "next_part": following}
            before = record.model_copy(update={"parts": [*parts]})
            told.append(DiagnosisEvent("timing", before, **about))
            parts[number] = part.model_copy(update={"blocks": blocks})
            after, about["part"] = record.model_copy(update={"parts": [*parts]}), parts[number]
            told.append(DiagnosisEvent("timed", after, **about))
        told.append(DiagnosisEvent("round", told[-1].record, round=round_index))
    return told


def shown(console, events):
    with diagnosis_progress(console, DiagnosisTiming(rounds=ROUNDS)) as on_event:
        for event in events:
            on_event(event)


def test_lines_are_an_estimate_processes_and_rounds_with_the_main_rates(events):
    pipe = Terminal(file=StringIO(), width=200)
    shown(pipe, events)
    estimate, first, *rounds = pipe.file.getvalue().splitlines()
    assert re.fullmatch(
        r"About \d+ s to \d+ (s|min) in all: 3 processes start, then 3 to 7 rounds of about \d+ s, "
        r"limited by --seconds 150\.",
        estimate,
    )
    assert first == "starting 1 of 3: the stages of the loader, each alone"
    assert len(rounds) == sum(event.kind == "round" for event in events)
    assert all("end to end" in line and "consumer" in line for line in rounds)
    assert rounds[1].startswith("round 2 of at most 7: ")
    assert "[" not in rounds[1]
    assert "[" in rounds[2]  # three blocks have an interval
    assert "left" in rounds[0]


def test_a_diagnosis_that_takes_longer_than_its_budget_says_why(events):
    pipe = Terminal(file=StringIO(), width=200)
    with diagnosis_progress(pipe, DiagnosisTiming(rounds=ROUNDS, budget_s=1)) as on_event:
        on_event(events[0])
    assert re.fullmatch(
        r"About \d+ s in all: 3 processes start, then 3 rounds of about \d+ s, the fewest there "
        r"can be, which take longer than --seconds 1\.",
        pipe.file.getvalue().splitlines()[0],
    )


def test_processes_that_may_be_added_are_said_to_be_possible_from_the_start(events):
    """The variants of a user's pipeline are known when its stages are."""
    starting, *later = events
    first = replace(starting, more_may_come=True)
    known = replace(starting, kind="started", processes_left=4)
    second = replace(starting, text="the loader alone", processes_left=3)
    pipe = Terminal(file=StringIO(), width=200)
    shown(pipe, [first, known, second, *later])
    estimate, one, again, two, *rounds = pipe.file.getvalue().splitlines()
    assert re.match(r"At least \d+ s: 3 processes start, and one for each variant of", estimate)
    assert one.startswith("starting 1 of at least 3: ")
    assert re.match(r"About \d+ s to \d+ (s|min) in all: 5 processes start, then 3 to 7", again)
    assert two == "starting 2 of 5: the loader alone"
    assert not any("processes" in line for line in rounds)


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 10)])
def test_a_terminal_shows_the_parts_that_matter_most_first(open_terminal, events, columns, rows):
    terminal = open_terminal(columns, rows)
    with diagnosis_progress(terminal.console(), DiagnosisTiming(rounds=ROUNDS)) as on_event:
        on_event(events[0])
        terminal.wait_for("Process 1 of 3 starts")
        for event in events[: len(events) // 2 * 2]:
            on_event(event)
        screen = terminal.wait_for("end to end")
    terminal.close()
    assert len(screen.lines) < rows
    assert max(map(len, screen.lines)) < columns
    table = [line for line in screen.lines if line.startswith(("  ", "▸ "))]
    assert "end to end" in table[0]
    assert terminal.screen().lines == [""]


@pytest.mark.parametrize(
    ("part", "text"),
    [
        (None, "the stages of the loader, each alone"),
        (Part(name="loader", cache_state="cold"), "the loader alone, cold files"),
        (Part(name="fixed", settings={"prefetch": 2}), "the loader alone with prefetch=2"),
        (Part(name="consumer"), "the accelerator alone"),
        (
            Part(name="end to end", cache_state="warm"),
            "the loader and the accelerator together, warm files",
        ),
        (Part(name="rewritten", mistake="serial map"), "your pipeline without: serial map"),
    ],
    ids=str,
)
def test_a_process_is_named_by_what_it_measures(part, text):
    assert process_text(part, "emulated:a100") == text


def test_the_time_left_follows_from_what_starts_and_rounds_took(events, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(pace_module, "monotonic", lambda: now[0])
    pace = DiagnosisPace(DiagnosisTiming(rounds=7, warm_up_s=1.0, budget_s=1000.0))
    starting, round_event = events[0], next(event for event in events if event.kind == "round")
    pace.update(starting)
    planned = pace.round_s(starting)
    assert pace.left_s(starting) == 3 * 7 + 7 * planned
    now[0] = 10.0
    started = replace(starting, kind="started")
    pace.update(started)
    assert pace.left_s(started) == 2 * 10 + 7 * planned
    now[0] = 40.0
    pace.update(replace(started, processes_left=0))
    now[0] = 60.0
    pace.update(round_event)
    assert pace.left_s(round_event) == 6 * 20
    now[0] = 65.0
    assert pace.left_s(replace(round_event, kind="timing", round=1)) == 6 * 20 - 5


def test_after_the_third_round_the_time_budget_limits_the_rest(events, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(pace_module, "monotonic", lambda: now[0])
    pace = DiagnosisPace(DiagnosisTiming(rounds=7, budget_s=60.0))
    round_event = next(event for event in events if event.kind == "round")
    now[0] = 20.0
    pace.update(round_event)
    assert pace.left_s(round_event) == 2 * 20  # two more at least
    pace.update(replace(round_event, round=2))
    assert pace.left_s(replace(round_event, round=2)) == 60 - 20
