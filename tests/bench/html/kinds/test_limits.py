"""The report of limits shows what keeps loaders from using more cores, where that was measured."""

from dataclasses import replace
from pathlib import Path

import pytest

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.limits.scaling import scaling_of
from feedbench.bench.limits.scaling_record import CoreBlock, OnCores, ThreadSamples
from feedbench.bench.limits.table import ABOVE_NOTE
from feedbench.bench.results.find import read_result

CLOTHING = Path(__file__).parents[4] / "results" / "limits" / "clothing"


def run(cores):
    return OnCores(
        cores=cores,
        blocks=[CoreBlock(seconds=1, images=1000 * cores, cpu_s=cores)],
        threads=[
            ThreadSamples(kind="pool", at_once=cores, free=9_800, python=200, locked=0, both=0)
        ],
    )


@pytest.fixture
def scaled(page):
    """Makes the page of a published result, with loaders that were measured on these cores."""

    def made(*cores):
        result = read_result(CLOTHING)
        scaling = [scaling_of("turbo", [run(count) for count in cores])] if cores else []
        limits = result.limits.model_copy(update={"scaling": scaling})
        return page(replace(result, limits=limits))

    return made


def test_a_run_without_it_has_no_such_section(scaled):
    assert "Many cores" not in [section.title for section in scaled().report.sections]


def test_limits_are_named_by_their_work(page):
    made = page(read_result(CLOTHING))
    chart = made.chart("The lowest limit: decoding on all cores")
    assert "copying images from memory" in [row["name"] for row in chart.spec["data"]["values"]]
    limits = {row["loader and settings"]: row["limit"] for row in made.table("Loaders")}
    assert limits["packed pack=pc-jpeg"] == "decoding the JPEGs of a pack on all cores"
    assert {row["measured by"] for row in made.table("Limits")} >= {"memory_copy", None}


def test_shares_and_extrapolated_rates_are_shown(scaled):
    (row,) = scaled(1, 2).table("Many cores")
    assert row["one by one [95 %]"][0] == pytest.approx(0.02)
    assert row["used most"] == "Python's lock"
    assert row["stops at cores"].startswith("50 [≥ ")
    assert " to " in row["images/s on 64 cores"]


def test_rates_on_many_cores_stand_beside_the_extrapolated(scaled):
    rows = scaled(1, 2, 4, 8).table("Measured, and extrapolated")
    assert [(row["cores"], row["images/s [95 %]"][0]) for row in rows] == [(4, 4000), (8, 8000)]


def test_a_share_above_its_limit_is_explained(page):
    result = read_result(CLOTHING)
    first, *others = result.limits.loaders
    high = first.model_copy(update={"share": Estimate(value=1.12, low=1.06, high=1.16)})
    made = page(
        replace(result, limits=result.limits.model_copy(update={"loaders": [high, *others]}))
    )
    assert made.chart(f"Above its measured limit: {first.loader}, 112%")
    assert ABOVE_NOTE in made.text
    assert ABOVE_NOTE not in page(result).text
