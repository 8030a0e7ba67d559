"""A bottleneck is injected into a real process, named, predicted without, and undone."""

from dataclasses import replace

import pytest

from feedbench.bench.selftest import battery
from feedbench.bench.selftest.battery import run_case
from feedbench.bench.selftest.case import WITHOUT, Case, WhatIf
from feedbench.bench.selftest.report import Checked


@pytest.mark.alone
def test_reads_that_wait_are_named_and_undone(tmp_path, monkeypatch):
    """A wait of 40 ms per read dwarfs all else, however busy the machine is."""
    monkeypatch.setattr("feedbench.bench.selftest.photos._PHOTOS", 40)
    monkeypatch.setattr(battery, "_ATTEMPTS", 1)
    monkeypatch.setattr(battery, "_ROUNDS", 3)
    monkeypatch.setattr(battery, "_TIMING", replace(battery._TIMING, rounds=3))
    case = Case(
        name="reads that wait",
        loader="delay",
        settings={"read_s": 0.04},
        spec={"batch_size": 4, "image_size": 16},
        cause="storage",
        what_ifs=(WhatIf("faster storage", settings={"read_s": 0.01}), WhatIf(WITHOUT)),
    )
    lines = []
    result = run_case(case, tmp_path, lines.append)
    assert (result.error, result.skipped) == (None, None)
    assert result.named == "storage"
    faster, unchanged = result.checked
    assert faster.predicted == pytest.approx(4 * result.end_to_end, rel=0.3)
    assert faster.measured > 2 * result.end_to_end
    assert unchanged.predicted > unchanged.measured
    assert "what if: faster storage" in lines


@pytest.mark.parametrize(
    ("drifts", "attempts"), [([0.96], 1), ([1.2, 0.99], 2), ([1.2, 0.7, 1.3, 1.0], 3)]
)
def test_a_case_during_which_the_machine_changed_its_speed_is_measured_again(
    tmp_path, monkeypatch, drifts, attempts
):
    left = iter(drifts)

    def attempt(self, result):
        one = Checked(change="faster storage", predicted=100, measured=99, drift=next(left))
        return result.model_copy(update={"named": "storage", "checked": [one]})

    monkeypatch.setattr(battery._Battery, "_attempt", attempt)
    monkeypatch.setattr(battery._Battery, "_rate_from_memory", lambda self: 100.0)
    monkeypatch.setattr("feedbench.bench.selftest.photos._PHOTOS", 12)
    case = Case(name="a slow disk", loader="turbo", cause="storage")
    result = run_case(case, tmp_path, lambda line: None)
    assert (result.error, result.attempts) == (None, attempts)
    assert result.checked[0].drift == drifts[attempts - 1]


def test_drift_is_taken_out_of_the_rate_of_a_loader_and_not_of_a_consumer():
    assert battery._without_drift(battery._Rate(200.0, waits=0.4), 1.25) == 160
    assert battery._without_drift(battery._Rate(200.0, waits=0.01), 1.25) == 200
