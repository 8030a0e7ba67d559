"""A bench shows what is known so far: in place on a terminal, else as plain lines."""

from dataclasses import replace
from functools import partial
from io import StringIO
from pathlib import Path

import pytest

from feedbench.bench.plan.plan import Choice, Failures, PixelCheck, Plan, Timing
from feedbench.bench.record import Host, Stopped
from feedbench.bench.report import live_bench
from feedbench.bench.report.live_bench import BenchDisplay
from feedbench.bench.report.live_text import duration
from feedbench.bench.report.pace import Pace
from feedbench.bench.report.progress import (
    bench_progress,
    count_progress,
    duration_text,
    listed_progress,
    scan_progress,
)
from feedbench.bench.report.terminal import Terminal
from feedbench.bench.trials.events import TrialEvent
from feedbench.bench.trials_file import read_trials
from feedbench.loaders import parse_spec
from feedbench.trainer import Recipe

RECORD = Path(__file__).parents[3] / "results" / "clothing-cpu"
BLOCKS = 7


@pytest.fixture
def pipe() -> Terminal:
    return Terminal(file=StringIO(), width=100)


@pytest.fixture(scope="module")
def events(as_events) -> list[TrialEvent]:
    """The events of a bench of seven trials that was published."""
    return list(as_events(read_trials(RECORD), BLOCKS))


def plan_of(events: list[TrialEvent], consumer: str = "train") -> Plan:
    choices = {event.index: event.choice for event in events}
    timing = Timing(blocks=BLOCKS, block_seconds=4, warm_up_seconds=5)
    trials = tuple(choices[index] for index in sorted(choices))
    return Plan(trials, parse_spec({}), Recipe(), consumer, timing, Failures(), PixelCheck())


def lines(console: Terminal) -> list[str]:
    return console.file.getvalue().splitlines()


def printed(pipe: Terminal, plan: Plan, events: list[TrialEvent]) -> list[str]:
    with bench_progress(pipe, plan) as on_event:
        for event in events:
            on_event(event)
    return lines(pipe)


def test_a_line_says_what_is_known_by_then(pipe, events):
    text = printed(pipe, plan_of(events), events)
    keras_pil = [line for line in text if "] keras_pil workers=0: " in line]
    assert "so far" not in keras_pil[0]
    assert "so far 277 [243, 319]; 0." in keras_pil[2]
    assert " of the fastest" in keras_pil[2]
    assert "cannot tell" in keras_pil[5]  # by five complete rounds
    assert all(" left" in line for line in keras_pil)


def test_no_interval_is_shown_of_fewer_than_three_blocks(pipe, events):
    text = printed(pipe, plan_of(events), events)
    timed = [line for line in text if "images/s" in line]
    assert [line for line in timed[:14] if " [" in line] == []
    assert " [" in timed[14]


def test_warming_up_prints_no_line(pipe, events):
    warming = TrialEvent("warming", events[0].choice, 0, 6, 0, events[0].trial, images=5)
    assert printed(pipe, plan_of(events), [warming]) == []


def test_a_failure_leaves_its_reason_to_the_result(pipe, trial):
    choice = Choice(loader="tf_data", settings={"prefetch": 2})
    event = TrialEvent("failed", choice, 2, 6, 0, trial("tf_data", [], error="[crashed]"))
    text = printed(pipe, plan_of([event]), [event])
    assert text == ["[2/6] failed: tf_data prefetch=2"]


def test_a_trial_that_is_stopped_changes_no_blocks_of_the_others(events, trial):
    out = trial("tf_data", [1.0] * 4, stopped=Stopped(rounds=4, slower_than="turbo"))
    display = BenchDisplay(plan_of(events), confirms=True)
    before = TrialEvent("block", events[0].choice, 8, 20, 0, events[0].trial)
    assert display.count(before) == f"[8/{20 + BLOCKS}]"
    assert display.count(replace(before, kind="stopped", trial=out)) == f"[8/{20 + BLOCKS}]"


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 10)])
def test_a_terminal_shows_all_rates_in_place(open_terminal, events, columns, rows):
    terminal = open_terminal(columns, rows)
    with bench_progress(terminal.console(), plan_of(events)) as on_event:
        for event in events:
            on_event(event)
        screen = terminal.wait_for("Round 7 of 7")  # earlier frames may be drawn meanwhile
    terminal.close()
    assert screen.scrolled == []
    assert len(screen.lines) < rows
    assert max(map(len, screen.lines)) < columns
    assert any("tf_data" in line and " [" in line for line in screen.lines)
    assert terminal.screen().lines == [""]


def test_a_wide_terminal_shows_what_leads_and_the_waits(open_terminal, events):
    terminal = open_terminal(80, 24)
    with bench_progress(terminal.console(), plan_of(events), confirms=True) as on_event:
        for event in events[: len(events) // 2]:
            on_event(event)
        screen = terminal.wait_for("fastest so far", "Round 3 of 7")
    (ahead,) = [line for line in screen.lines if "fastest so far" in line]
    assert "cache=decoded" in ahead
    assert "▁▁▁▁▁▁▁▁" in ahead
    assert screen.lines[0].startswith("Round 3 of 7 · ")
    assert any(line.startswith("next  ") for line in screen.lines)


def last_frame(plan: Plan, events: list[TrialEvent]) -> list[str]:
    display = BenchDisplay(plan, confirms=True)
    for event in events:
        display.update(event)
    return [line.text for line in display.lines(100, 40)]


def test_rows_keep_the_order_of_the_plan(events):
    plan = plan_of(events)
    readers = [str(choice) for choice in plan.choices if choice.loader != "synthetic"]
    for count in range(len(events) // 7, len(events), 5):
        table = [line[2:] for line in last_frame(plan, events[:count]) if line[:2] in ("▸ ", "  ")]
        assert len(table) == len(plan.choices)
        assert all(line.startswith(name) for line, name in zip(table, readers, strict=False))


def test_batches_that_cost_nothing_stand_below_a_rule_and_are_no_rival(events):
    lines = last_frame(plan_of(events), events)
    (rule,) = [index for index, line in enumerate(lines) if line.startswith("── ")]
    assert lines[rule].startswith("── batches that cost nothing ──")
    cells = lines[rule + 1].removeprefix("▸ ").split()
    assert cells[0] == "synthetic"
    assert len(cells) == 6  # name, rate, both ends of its interval, bars and share of the waits
    assert lines[rule + 2] == ""


def test_waits_are_explained_and_left_out_where_the_consumer_does_nothing(events):
    frame = "\n".join(last_frame(plan_of(events), events))
    assert "waits: share of the time without a batch" in frame
    assert "▁" in frame
    drained = "\n".join(last_frame(plan_of(events, "drain"), events))
    assert "wait" not in drained
    assert "▁" not in drained
    assert "last\n" not in drained  # this record has no readings


def test_blocks_after_the_choice_are_counted_from_the_start(pipe, events):
    timed = [event for event in events if event.kind == "block"]
    chosen = timed[-1].trial.model_copy(update={"chosen_before": BLOCKS})
    again = [
        replace(timed[-1], kind=kind, trial=chosen, round=BLOCKS, blocks=timed[-1].blocks + BLOCKS)
        for kind in ("timing", "block")
    ]
    with bench_progress(pipe, plan_of(events), confirms=True) as on_event:
        for event in [*events, *again]:
            on_event(event)
    text = [line for line in lines(pipe) if line.startswith("[")]
    assert {line.partition("]")[0].partition("/")[2] for line in text} == {"56"}
    assert text[-3].startswith("[49/56]")
    assert text[-2] == f"[49/56] the winner again, alone, for the rate to expect: {again[0].choice}"


@pytest.mark.parametrize(
    ("block_s", "planned_s", "takes"),
    [(4.0, 4, ""), (23.0, 4, "23 s instead of 4 s"), (0.16, 0.1, "0.16 s instead of 0.1 s")],
)
def test_blocks_that_take_much_longer_than_planned_are_said_once(
    pipe, events, monkeypatch, block_s, planned_s, takes
):
    now = [0.0]
    monkeypatch.setattr(live_bench, "Pace", partial(Pace, clock=lambda: now[0]))
    plan = plan_of(events)
    plan = replace(plan, timing=plan.timing.model_copy(update={"block_seconds": planned_s}))
    with bench_progress(pipe, plan) as on_event:
        for event in events:
            now[0] += block_s * (event.kind == "block")
            on_event(event)
    said = [line for line in lines(pipe) if line.startswith("A block takes")]
    in_all = duration(len({event.index for event in events}) * BLOCKS * block_s)
    expected = f"A block takes {takes}, with its 10 steps: up to {in_all} in all."
    assert said == bool(takes) * [expected]


def test_cores_that_other_programs_use_are_named_while_it_runs(pipe, events):
    host = Host(at_s=[1.0], cores={0: [1.0], 1: [0.9]})
    busy = []
    for event in events:
        blocks = [
            block.model_copy(update={"host": host, "cpu_s": 0.2 * block.seconds})
            for block in event.trial.blocks
        ]
        busy.append(replace(event, trial=event.trial.model_copy(update={"blocks": blocks})))
    said = "Other programs use up to 1.7 of 2 cores: the results may differ without them"
    frame = last_frame(plan_of(events), busy)
    assert said in frame
    assert any(line.endswith("1.9 of 2 cores in use, 1.7 by other programs") for line in frame)
    text = printed(pipe, plan_of(events), busy)
    assert text.count(f"{said}.") == 1
    assert not any("Other programs" in line for line in last_frame(plan_of(events), events))


def test_trials_without_room_are_counted(open_terminal, events):
    terminal = open_terminal(40, 10)
    with bench_progress(terminal.console(), plan_of(events)) as on_event:
        on_event(events[0])
        screen = terminal.wait_for("more")
    assert screen.lines[-1] == "… 3 more"


def test_counts_are_printed_once_per_tenth(pipe):
    with count_progress(pipe, "images", 40) as advance:
        for _ in range(40):
            advance(1)
    assert lines(pipe) == [f"images: {count} of 40" for count in range(4, 41, 4)]


def test_a_scan_counts_its_files(pipe):
    with scan_progress(pipe) as start:
        start(2)(2)
    assert lines(pipe) == ["files read: 2 of 2"]


def test_a_single_trial_is_not_called_trials():
    assert ": 1 trial × (" in duration_text(1, Timing())


@pytest.mark.parametrize(
    ("blocks", "noun", "least"), [(1, "block", "45 s"), (7, "blocks", "3 min")]
)
def test_the_duration_is_stated_beforehand(blocks, noun, least):
    timing = Timing(blocks=blocks, block_seconds=4, warm_up_seconds=5)
    assert duration_text(5, timing) == (
        f"At least {least}: 5 trials × (5 s of warm-up + {blocks} {noun} of 4 s). Slow steps and "
        "the start of each process add to that."
    )


def test_the_duration_of_a_bench_that_may_end_early_includes_the_winner_alone():
    timing = Timing(blocks=15, block_seconds=1, warm_up_seconds=2)
    assert duration_text(2, timing, 4) == (
        "At least 18 s, or 49 s if all 15 rounds are needed until the choice is certain: 2 trials "
        "× (2 s of warm-up + 4 to 15 blocks of 1 s), then the winner again. Slow steps and the "
        "start of each process add to both."
    )
    fresh = timing.model_copy(update={"fresh_processes": True})
    assert duration_text(2, fresh, 4).startswith("At least 42 s, or 2 min if all")
    assert ": 2 trials × 4 to 15 × (" in duration_text(2, fresh, 4)


def test_the_filling_of_caches_is_not_part_of_the_stated_duration():
    assert duration_text(2, Timing(), fills=True).endswith(
        ". Slow steps, the start of each process and the filling of caches add to that."
    )


def test_a_listing_counts_its_objects_on_a_terminal_and_says_nothing_elsewhere(pipe):
    shown = Terminal(file=StringIO(), width=100, force_terminal=True)
    for console in (shown, pipe):
        with listed_progress(console, "Listing s3://bucket") as advance:
            advance(1_000)
            advance(234)
    assert "Listing s3://bucket: 1,234 objects" in shown.file.getvalue()
    assert lines(pipe) == []
