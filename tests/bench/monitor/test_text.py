"""The sentences of a FitMonitor say no more than was measured."""

import pytest

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.monitor.record import FitFigures, FitRecord
from feedbench.bench.monitor.text import fit_lines


def figures(**values):
    rate = Estimate(value=300.0, low=290.0, high=310.0)
    known = {"images_per_second": rate, "ceiling": None, "stall": None, "batches": 200}
    known |= {"wait_share": 0.4, "idle_share": 0.4, "images": 6400}
    return FitFigures(**known | values)


def record(**values):
    known = {"backend": "jax", "keras": "3", "model": "small", "data": "arrays", "device": "CPU"}
    known |= {"steps_per_execution": 1, "warm_up": 20, "is_synchronous": True}
    return FitRecord(**known | {"first_waits_s": [0.5]} | values)


def said(found, **values):
    return " ".join(fit_lines(found, record(**values)))


def with_stall(value, low, high, **values):
    stall = Estimate(value=value, low=low, high=high)
    return figures(stall=stall, ceiling=Estimate(value=500.0), **values)


def test_one_share_if_the_device_is_known_to_be_idle():
    assert "the device waited for data 40% of the time, at 300 images/s." in said(figures())


def test_two_shares_if_the_device_may_have_worked():
    text = said(figures(idle_share=0.2))
    assert "the device waited for data between 20% and 40% of the time" in text
    assert "only for the smaller one is the device known to have had no work left" in text


def test_the_stall_stands_beside_the_wait():
    text = said(with_stall(0.4, 0.38, 0.42))
    assert "the device stalled 40% of the time [38%, 42%]: 300 images/s, against 500" in text
    assert "feedbench diagnose" in text


NO_WAIT = {"wait_share": 0.0, "idle_share": 0.0}


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (with_stall(0.6, 0.58, 0.62), "points are lost in steps that take longer than on a"),
        (with_stall(0.2, 0.18, 0.22), "compares medians, in which a few long waits count less"),
        (with_stall(0.2, -0.1, 0.45), "It may be no stall at all"),
        (with_stall(0.01, 0.0, 0.02, **NO_WAIT), "The input pipeline keeps up"),
        (with_stall(0.01, -0.2, 0.22, **NO_WAIT), "seems to keep up, but up to 22% may be lost"),
        (with_stall(0.01, None, None, **NO_WAIT), "seems to keep up; to be sure, measure longer"),
        (with_stall(0.01, 0.0, 0.02), "Most blocks hardly waited, but some did for long"),
        (with_stall(0.5, 0.48, 0.52, wait_share=0.01), "First try verbose=0 and fewer callbacks"),
        (figures(wait_share=0.01, idle_share=0.01), "lets fit wait less would gain almost nothing"),
    ],
)
def test_what_follows_is_said(found, expected):
    assert expected in said(found)


def test_only_a_device_that_runs_ahead_may_have_queued_work():
    found = with_stall(0.2, 0.18, 0.22)
    assert "may have had queued work" in said(found, is_synchronous=False)
    assert "queued work" not in said(found)


def test_waiting_alone_does_not_show_that_the_pipeline_keeps_up():
    text = said(figures(wait_share=0.01, idle_share=0.01))
    assert "keeps up" not in text
    assert "ceiling=True) also measures whether the pipeline slows the steps down" in text


def test_that_there_may_be_no_stall_is_said_before_it_is_explained():
    lines = fit_lines(with_stall(0.2, -0.1, 0.45), record())
    assert lines[1].startswith("It may be no stall at all")
    assert sum("no stall" in line for line in lines) == 1


def test_a_pipeline_that_was_not_at_rest_is_mentioned():
    assert "the true share is at least this" in said(with_stall(0.4, 0.3, 0.5), is_quiet=False)


def test_notes_are_sentences():
    text = said(figures(), notes=["the record could not be written"])
    assert "The record could not be written." in text
    assert fit_lines(None, record(notes=["why"])) == ["Nothing was measured: why."]


def test_a_note_that_ends_with_a_period_gets_no_second_one():
    notes = ["the batches cannot be observed: no such tensor."]
    assert "The batches cannot be observed: no such tensor." in said(figures(), notes=notes)
    assert ".." not in said(figures(), notes=notes)
    assert fit_lines(None, record(notes=notes)) == [f"Nothing was measured: {notes[0]}"]
