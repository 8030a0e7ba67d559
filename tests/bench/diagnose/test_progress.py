"""A diagnosis shows each part with its rate as it is measured."""

from io import StringIO
from pathlib import Path

import pytest

from feedbench.bench.diagnose.events import DiagnosisEvent
from feedbench.bench.diagnose.progress import diagnosis_progress
from feedbench.bench.diagnose.record import read_diagnosis
from feedbench.bench.diagnose.setup import DiagnosisTiming
from feedbench.bench.report.terminal import Terminal

RECORD = Path(__file__).parents[3] / "results" / "diagnose-clothing" / "diagnosis-record.json"
ROUNDS = 7


@pytest.fixture(scope="module")
def events():
    """The events of a diagnosis that was published, until its last round."""
    record = read_diagnosis(RECORD)
    parts = [part.model_copy(update={"blocks": []}) for part in record.parts]
    told = [DiagnosisEvent("starting", record.model_copy(update={"parts": parts}), "stages", 2)]
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


def test_lines_are_processes_and_rounds_with_the_main_rates(events):
    pipe = Terminal(file=StringIO(), width=200)
    shown(pipe, events)
    first, *rounds = pipe.file.getvalue().splitlines()
    assert first == "starting: stages"
    assert len(rounds) == sum(event.kind == "round" for event in events)
    assert all("end to end" in line and "consumer" in line for line in rounds)
    assert "[" not in rounds[1]
    assert "[" in rounds[2]  # three blocks have an interval
    assert "left" in rounds[0]


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 10)])
def test_a_terminal_shows_the_parts_that_matter_most_first(open_terminal, events, columns, rows):
    terminal = open_terminal(columns, rows)
    with diagnosis_progress(terminal.console(), DiagnosisTiming(rounds=ROUNDS)) as on_event:
        on_event(events[0])
        terminal.wait_for("Starting processes")
        for event in events[: len(events) // 2 * 2]:
            on_event(event)
        screen = terminal.wait_for("end to end")
    terminal.close()
    assert len(screen.lines) < rows
    assert max(map(len, screen.lines)) < columns
    table = [line for line in screen.lines if line.startswith(("  ", "▸ "))]
    assert "end to end" in table[0]
    assert terminal.screen().lines == [""]
