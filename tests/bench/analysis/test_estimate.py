"""The format of estimates, and every form that records hold them in."""

import json
import math
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError

from feedbench.bench.analysis.best import read_best
from feedbench.bench.analysis.estimate import Estimate, Proportion, rate_text
from feedbench.bench.training.rate_check import RateCheck
from feedbench.bench.tune.record import TuneRecord

RESULTS = Path(__file__).parents[3] / "results"
RATE = Estimate(value=1234.4, low=1200, high=1260)


class Holder(BaseModel):
    rate: Estimate | None
    accuracy: Proportion | None = None


@pytest.mark.parametrize(
    ("estimate", "spec", "printed"),
    [
        (RATE, ",.0f", "1,234 [1,200, 1,260]"),
        (Estimate(value=0.949, low=0.931, high=0.97), ".2f", "0.95 [0.93, 0.97]"),
        (Proportion(value=0.5, low=-0.125, high=1), "+.1%", "+50.0% [-12.5%, +100.0%]"),
        (Estimate(value=7, low=7, high=7), ",.0f", "7"),
        (Estimate(value=7), ",.0f", "7 [–]"),
        (Estimate(value=7, low=7, high=7.5), ".0f", "7 [7, 8]"),
        (Estimate(value=7.5, low=7, high=8), "", "7.5 [7.0, 8.0]"),
    ],
)
def test_the_interval_is_printed_unless_its_width_is_zero(estimate, spec, printed):
    assert f"{estimate:{spec}}" == printed


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (Estimate(value=0.3618, low=0.32, high=0.405), "0.362 [0.320, 0.405]"),
        (Estimate(value=3.5, low=3, high=12), "3.50 [3.00, 12.00]"),
        (0.0123456, "0.0123"),
        (9.99, "9.99"),
        (10.4, "10"),
        (0.0, "0"),
        (12_345.6, "12,346"),
    ],
)
def test_a_rate_below_10_has_three_digits_that_count(rate, text):
    assert rate_text(rate) == text


def test_an_interval_contains_its_ends():
    contained = [RATE.contains(value) for value in (1199.9, 1200, 1230, 1260, 1260.1)]
    assert contained == [False, True, True, True, False]


@pytest.mark.parametrize(
    "recorded",
    [
        {"median": 1234.4, "low": 1200, "high": 1260},
        {"value": 1234.4, "low": 1200, "high": 1260},
        [1234.4, 1200, 1260],
        (1234.4, 1200, 1260),
    ],
    ids=str,
)
def test_every_form_in_records_can_be_read(recorded):
    assert Holder(rate=recorded).rate == RATE


@pytest.mark.parametrize(
    "wrong",
    [
        [1, 2],
        3.0,
        {"median": 1, "low": 0.5},
        {**dict(RATE), "sigma": 1},
        {"median": math.nan},
        {"median": 1, "low": 0.5, "high": math.inf},
    ],
    ids=str,
)
def test_anything_else_is_refused(wrong):
    with pytest.raises(ValidationError):
        Holder(rate=wrong)


@pytest.mark.parametrize("recorded", [[7, 7, 7], {"median": 7, "low": 7, "high": 7}], ids=str)
def test_the_interval_of_width_zero_of_an_old_record_is_none(recorded):
    """A single block was recorded like this."""
    assert Holder(rate=recorded).rate == Estimate(value=7)


def test_an_estimate_without_an_interval_survives_json_and_toml(tmp_path):
    alone = Estimate(value=7)
    assert Holder.model_validate_json(Holder(rate=alone).model_dump_json()).rate == alone
    (tmp_path / "best.toml").write_text(
        'loader = "turbo"\n[predicted.images_per_second]\nmedian = 7.0\n'
    )
    assert read_best(tmp_path / "best.toml").predicted.images_per_second == alone


def test_without_an_interval_no_value_is_excluded():
    alone = Estimate(value=7)
    assert alone.contains(1)
    assert not alone.lies_above(1)
    assert not alone.lies_below(9)
    assert RATE.lies_above(1199)
    assert RATE.lies_below(1261)
    assert not RATE.lies_above(1200)


def test_records_call_a_median_median_and_a_proportion_value():
    """At any depth, since other programs may read these files."""
    share = Proportion(value=0.5, low=0.4, high=0.6)
    written = json.loads(Holder(rate=RATE, accuracy=share).model_dump_json())
    assert written["rate"] == {"median": 1234.4, "low": 1200, "high": 1260}
    assert written["accuracy"] == {"value": 0.5, "low": 0.4, "high": 0.6}
    assert Holder(rate=RATE).model_dump()["rate"] == written["rate"]
    assert Holder.model_validate(written) == Holder(rate=RATE, accuracy=share)


def test_an_estimate_is_immutable():
    with pytest.raises(ValidationError, match="frozen"):
        RATE.low = 0.0


def test_published_lists_of_three_numbers_can_be_read():
    tune = RESULTS / "tune-vs-grid" / "drain" / "tune-0.json"
    old = json.loads(tune.read_text())["findings"]
    read = TuneRecord.model_validate_json(tune.read_text()).findings
    assert [list(dict(one.ratio).values()) for one in read if one.ratio] == [
        one["ratio"] for one in old if one["ratio"]
    ]
    training = json.loads((RESULTS / "clothing-cpu" / "training.json").read_text())["promise"]
    assert list(dict(RateCheck.model_validate(training).achieved).values()) == training["achieved"]


def test_runners_up_of_an_old_best_toml_can_be_read(tmp_path):
    (tmp_path / "best.toml").write_text(
        'loader = "turbo"\n'
        "[predicted.images_per_second]\nmedian = 3.0\nlow = 2.0\nhigh = 4.0\n"
        '[[runners_up]]\nloader = "tf_data"\nratio = [0.9, 0.8, 1.0]\ntie = true\n'
    )
    best = read_best(tmp_path / "best.toml")
    assert f"{best.predicted.images_per_second:.0f}" == "3 [2, 4]"
    assert f"{best.runners_up[0].ratio:.1f}" == "0.9 [0.8, 1.0]"
