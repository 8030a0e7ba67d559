"""The lines below a table that say what started side by side, and what ended early and why."""

import csv
from io import StringIO

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.record import Stopped, WarmUp
from feedbench.bench.report.course import course, stop_text
from feedbench.bench.report.csv_text import as_csv
from feedbench.bench.report.table import bench_table

LOOKS = [4, 6, 9, 15]
FAST, SLOW = [100.0, 101, 99, 102, 100, 101], [50.0, 51, 50, 52]


def lines(*trials):
    return [line.text for line in course(summarize(list(trials)))]


def test_a_bench_that_ended_early_says_when_and_what_it_stopped_before(trial):
    decided, out = Stopped(rounds=6), Stopped(rounds=4, slower_than="turbo")
    assert lines(
        trial("turbo", FAST, judged_after=LOOKS, stopped=decided),
        trial("tf_data", FAST[::-1], judged_after=LOOKS, stopped=decided),
        trial("keras_pil", SLOW, judged_after=LOOKS, stopped=out),
    ) == [
        "Ended after 6 of at most 15 rounds: each loader is certainly slower than the fastest, or "
        "certainly reaches 95% of its rate; --no-early-stopping times all.",
        "Stopped after 4 rounds, certainly below 95% of the fastest rate: keras_pil.",
    ]
    assert stop_text(out) == "certainly slower than turbo after 4 rounds"
    assert stop_text(decided) == "nothing was left to decide after 6 rounds"


def test_the_csv_says_which_trials_were_stopped_why_and_when(trial):
    out = Stopped(rounds=4, slower_than="turbo")
    trials = [
        trial("turbo", FAST, judged_after=LOOKS),
        trial("tf_data", FAST[::-1], judged_after=LOOKS, stopped=Stopped(rounds=6)),
        trial("keras_pil", SLOW, judged_after=LOOKS, stopped=out),
    ]
    rows = csv.DictReader(StringIO(as_csv(bench_table(summarize(trials)))))
    assert {row["loader"]: (row["stopped"], row["stopped_after_rounds"]) for row in rows} == {
        "turbo": ("", ""),
        "tf_data": ("nothing was left to decide", "6"),
        "keras_pil": ("certainly slower than turbo", "4"),
    }


def test_a_bench_that_timed_all_blocks_says_nothing(trial):
    assert lines(trial("turbo", FAST), trial("keras_pil", SLOW)) == []


def test_times_of_starts_side_by_side_are_said_to_be(trial):
    warm_up = WarmUp(start_s=1, first_batch_s=2, seconds=3, images=4, beside=1)
    text = "first batch: measured while up to 1 other process started."
    assert lines(trial("turbo", FAST, warm_ups=[warm_up])) == [text]
