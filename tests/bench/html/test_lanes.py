"""Lanes of very many readings: what is drawn stays small, and keeps the extremes."""

import numpy as np
import pytest

from feedbench.bench.html.charts.frame import value_axis
from feedbench.bench.html.charts.lanes import Lane, Readings, decimated, lanes
from feedbench.bench.html.kinds.meters import meters
from feedbench.bench.html.kinds.over_time import _lane


def readings(values, end=1.0) -> Readings:
    edges = np.linspace(0.0, end, len(values) + 1)
    return Readings.of(edges[:-1], edges[1:], values)


def test_a_stretch_keeps_its_smallest_and_its_largest_reading():
    values = np.full(100, 0.1)
    values[37] = 0.9
    fewer = decimated(readings(values), 1.0, 10)
    assert len(fewer.begin) == 10
    assert (fewer.low[3], fewer.high[3]) == (0.1, 0.9)
    assert (fewer.begin[0], fewer.end[-1]) == (0.0, 1.0)
    assert fewer.high[4] == 0.1


def test_few_readings_are_drawn_as_they_are():
    few = readings([0.1, 0.2, 0.3])
    assert decimated(few, 1.0, 10) is few


@pytest.mark.parametrize("end", [1.0, 50.0, 0.01])
def test_texts_are_made_of_what_is_drawn_even_if_readings_lie_outside_of_the_time(end):
    made = []

    def text(value: float) -> str:
        made.append(value)
        return "text"

    many = readings(np.random.default_rng(0).random(100_000), end)
    spec = lanes([Lane("waits", many, "red", text)], [], 1.0, "seconds", columns=50)
    assert 0 < len(made) <= 50
    assert len(spec["data"]["values"]) <= 2 * 50


def test_readings_that_are_not_finite_are_left_out():
    found = readings([0.1, np.nan, np.inf, 0.4])
    assert found.high.tolist() == [0.1, 0.4]
    assert readings([]).highest == 0.0


def test_a_reading_above_the_full_height_stays_in_its_lane():
    spec = lanes([Lane("power", readings([1.0, 9.0]), "red", str, full=2.0)], [], 1.0, "s", 10)
    first, second = spec["data"]["values"]
    assert first["u"] - first["t"] == 17
    assert second["u"] - second["t"] == 34


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (300, 4_000, [500, 1_000, 2_000]),
        (0.4, 2.5, [0.5, 1, 2]),
        (0.5, 2e6, [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000]),
    ],
)
def test_a_logarithmic_axis_has_a_line_for_each_label_alone(low, high, ticks):
    assert value_axis("images/s", low, high, log=True)["axis"]["values"] == ticks
    assert "values" not in value_axis("images/s", low, high)["axis"]


def test_a_disk_that_hardly_reads_does_not_look_busy():
    """The least reading that fills a lane is that of a disk that does something."""
    least = {name: full for name, *_, full in meters([])}
    assert least["read from disks"] == 1.0
    for highest, full in ((0.02, 1.0), (50.0, 50.0)):
        assert _lane("read from disks", readings([highest]), "", "MB/s", 1.0).full == full
