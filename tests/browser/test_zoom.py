"""A chart with a time axis in a real browser."""

from math import inf
from time import monotonic

import pytest

SECONDS = 8.0  # of the sample's chart
PATIENCE_S = 60


@pytest.fixture
def page(opened, sample):
    page = opened(sample).page
    page.locator("#time").scroll_into_view_if_needed()
    page.locator("#time .zoom button").first.wait_for()
    return page


@pytest.fixture
def plot(page):
    return page.locator("#time .plot").first


def labels(plot) -> tuple[float, float]:
    """The first and the last number on the time axis; infinite while it is being redrawn."""
    texts = plot.locator(".role-axis-label text").all_text_contents()
    numbers = [float(text) for text in texts if text.strip()] or [inf]
    return min(numbers), max(numbers)


def come(page, condition) -> bool:
    """Whether a condition is met soon: a chart is drawn a moment after it is used."""
    end = monotonic() + PATIENCE_S
    while not condition() and monotonic() < end:
        page.wait_for_timeout(20)
    return bool(condition())


def press(page, name: str) -> None:
    page.locator("#time").get_by_role("button", name=name, exact=True).first.click()


def test_buttons_zoom_move_and_show_all_within_the_data(page, plot):
    def shows(first: float, last: float) -> bool:
        return come(page, lambda: labels(plot) == (first, last))

    assert shows(0, SECONDS)
    press(page, "Zoom in")
    assert shows(2, 6)
    press(page, "Later")
    assert shows(3, 7)
    for _ in range(6):
        press(page, "Earlier")
    assert shows(0, 4)
    press(page, "Show all")
    assert shows(0, SECONDS)
    press(page, "Zoom out")
    page.wait_for_timeout(100)
    assert shows(0, SECONDS)


def test_ctrl_and_wheel_zoom_while_the_wheel_alone_scrolls_the_page(page, plot):
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.wheel(0, -40)
    assert come(page, lambda: plot.bounding_box()["y"] > box["y"])
    assert labels(plot)[1] == SECONDS
    page.keyboard.down("Control")
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.wheel(0, -800)
    page.keyboard.up("Control")
    assert come(page, lambda: labels(plot)[1] < SECONDS)


def test_dragging_moves_the_range_but_not_beyond_the_data(page, plot):
    press(page, "Zoom in")
    box = plot.bounding_box()
    for target in (0.9, 0.9, 0.9):
        page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * target, box["y"] + 20, steps=4)
        page.mouse.up()
    assert come(page, lambda: labels(plot)[0] == 0)
    assert SECONDS / 2 - 0.5 <= labels(plot)[1] <= SECONDS / 2
