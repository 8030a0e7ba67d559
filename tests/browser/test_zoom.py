"""A chart with a time axis in a real browser."""

import pytest

SECONDS = 8.0  # of the sample's chart


@pytest.fixture
def page(opened, sample):
    page = opened(sample).page
    page.locator("#time").scroll_into_view_if_needed()
    page.locator("#time .zoom button").first.wait_for()
    return page


@pytest.fixture
def plot(page):
    return page.locator("#time .plot").first


def last_label(plot) -> float:
    """The largest number on the time axis."""
    texts = plot.locator(".role-axis-label text").all_text_contents()
    return max(float(text) for text in texts if text.strip())


def first_label(plot) -> float:
    texts = plot.locator(".role-axis-label text").all_text_contents()
    return min(float(text) for text in texts if text.strip())


def press(page, name: str) -> None:
    page.locator("#time").get_by_role("button", name=name, exact=True).first.click()
    page.wait_for_timeout(150)


def test_buttons_zoom_move_and_show_all_within_the_data(page, plot):
    assert (first_label(plot), last_label(plot)) == (0, SECONDS)
    press(page, "Zoom in")
    assert (first_label(plot), last_label(plot)) == (2, 6)
    press(page, "Later")
    assert (first_label(plot), last_label(plot)) == (3, 7)
    for _ in range(6):
        press(page, "Earlier")
    assert first_label(plot) == 0
    press(page, "Show all")
    assert (first_label(plot), last_label(plot)) == (0, SECONDS)
    press(page, "Zoom out")
    assert (first_label(plot), last_label(plot)) == (0, SECONDS)


def test_ctrl_and_wheel_zoom_while_the_wheel_alone_scrolls_the_page(page, plot):
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.wheel(0, -40)
    page.wait_for_timeout(300)
    assert last_label(plot) == SECONDS
    assert plot.bounding_box()["y"] > box["y"]
    page.keyboard.down("Control")
    box = plot.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 20)
    page.mouse.wheel(0, -800)
    page.keyboard.up("Control")
    page.wait_for_timeout(300)
    assert last_label(plot) < SECONDS


def test_dragging_moves_the_range_but_not_beyond_the_data(page, plot):
    press(page, "Zoom in")
    box = plot.bounding_box()
    for target in (0.9, 0.9, 0.9):
        page.mouse.move(box["x"] + box["width"] * 0.3, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + box["width"] * target, box["y"] + 20, steps=4)
        page.mouse.up()
    page.wait_for_timeout(300)
    assert first_label(plot) == 0
    assert SECONDS / 2 - 0.5 <= last_label(plot) <= SECONDS / 2
