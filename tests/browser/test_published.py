"""Pages of published results in a real browser: as soon as they are open, and on a phone."""

import pytest

BENCH, DIAGNOSIS = "tutorial/bench", "tutorial/diagnosis"

# A browser in which no chart is ever near the window, and which is never idle.
NEVER_LATER = """
window.IntersectionObserver = class { observe() {} unobserve() {} };
window.requestIdleCallback = () => 0;
"""

# The parts of the first cells between two places at which they may wrap, and their lines.
UNBROKEN_PARTS = """() => [...document.querySelectorAll("tbody th")].flatMap((cell) => {
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    const found = [];
    while (texts.nextNode()) {
        const range = document.createRange();
        range.selectNodeContents(texts.currentNode);
        const tops = new Set([...range.getClientRects()].map((box) => Math.round(box.top)));
        const text = texts.currentNode.data;
        if (!/\\s/.test(text.trim())) found.push([text, tops.size]);
    }
    return found;
})"""


@pytest.mark.parametrize("name", [BENCH, DIAGNOSIS])
def test_first_charts_are_there_when_the_page_is_loaded(chromium, page_of, name):
    context = chromium.new_context(viewport={"width": 1024, "height": 800})
    context.add_init_script(NEVER_LATER)
    page = context.new_page()
    page.goto(page_of(name).as_uri())
    assert page.locator(".plot svg").count() == 3
    context.close()


def test_all_charts_are_drawn_in_time_without_scrolling(opened, page_of):
    page = opened(page_of(BENCH, DIAGNOSIS)).page
    count = page.locator(".plot:visible").count()
    assert count > 3
    assert page.locator(".plot").count() > count
    page.locator(".plot svg").nth(count - 1).wait_for()


@pytest.mark.parametrize("name", [BENCH, "clothing-cpu"])
def test_a_phone_shows_the_rate_of_each_loader(opened, page_of, name):
    page = opened(page_of(name), 360).page
    cells = page.locator("#rates tbody tr td:nth-child(2)").all()
    assert cells
    for cell in cells:
        box = cell.bounding_box()
        assert box["x"] + box["width"] <= 360


@pytest.mark.parametrize("name", [BENCH, DIAGNOSIS, "clothing-cpu"])
def test_names_wrap_only_behind_signs_on_a_phone(opened, page_of, name):
    parts = opened(page_of(name), 360).page.evaluate(UNBROKEN_PARTS)
    assert len(parts) > 5
    assert [text for text, lines in parts if lines > 1] == []


def test_options_of_commands_are_not_broken_at_their_hyphens(opened, page_of):
    page = opened(page_of(BENCH), 360).page
    for option in page.locator(".headline .option").all():
        assert option.evaluate("one => one.getClientRects().length") == 1
    assert page.locator(".headline code").inner_text().startswith("feedbench train DATA --loader")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1024, 1920])
def test_nothing_is_wider_than_the_window(opened, page_of, width, scheme):
    found = opened(page_of(BENCH, DIAGNOSIS), width, color_scheme=scheme)
    found.draw_all()
    assert found.page.evaluate("document.documentElement.scrollWidth") == width
    assert found.complaints == []
