"""The page in a real browser: what it runs and requests, how it fits, prints and changes."""

import re
from pathlib import Path

import pytest

EVIL = "<script>alert(1)</script>.jpg"


def test_draws_every_chart_without_a_complaint_and_requests_nothing_but_itself(opened, sample):
    found = opened(sample)
    found.page.locator("details.more > summary").click()
    found.draw_all()
    plots = found.page.locator(".plot")
    assert plots.count() == 3
    for plot in plots.all():
        assert plot.locator(".mark-rect path").count() > 5
        assert plot.get_attribute("role") == "img"
        assert plot.get_attribute("aria-label")
    found.page.wait_for_timeout(200)
    assert found.complaints == []
    assert found.requests == [sample.as_uri()]


def test_policy_stops_scripts_of_others_and_requests(opened, sample, tmp_path):
    attack = '<img src="http://example.com/"><script>document.title = "run"</script></main>'
    (tmp_path / "evil.html").write_text(sample.read_text().replace("</main>", attack))
    found = opened(tmp_path / "evil.html")
    assert found.page.title() != "run"
    assert len(found.complaints) == 2
    assert all("Content Security Policy" in complaint for complaint in found.complaints)


def test_names_that_look_like_html_are_text(opened, sample):
    found = opened(sample)
    found.draw_all()
    assert EVIL in found.page.locator("h1").inner_text()
    assert EVIL in found.page.title()
    assert EVIL in found.page.locator(".plot svg").first.text_content()
    found.page.locator(".plot .mark-rect path").first.hover()
    assert EVIL in found.page.locator("#tip").inner_text()
    assert found.complaints == []


@pytest.mark.parametrize("width", [360, 1024, 1920])
def test_fits_every_width_and_wide_tables_scroll_by_themselves(opened, sample, width):
    found = opened(sample, width)
    found.page.locator("details.more > summary").click()
    found.draw_all()
    root = found.page.locator(":root")
    assert root.evaluate("root => root.scrollWidth") == width
    table = found.page.locator(".scroll:visible").first
    scrolls = table.evaluate("box => box.scrollWidth > box.clientWidth")
    assert scrolls is (width < 1920)  # the widest window shows it whole
    for chart in found.page.locator(".plot svg").all():
        assert chart.bounding_box()["width"] <= width


def test_charts_follow_the_width_of_the_window(opened, sample):
    page = opened(sample, 1600).page
    chart = page.locator(".plot").first
    chart.locator("svg").wait_for()
    wide = chart.locator("svg").bounding_box()["width"]
    page.set_viewport_size({"width": 500, "height": 800})
    chart.locator("svg[width^='4']").wait_for()
    assert wide > 800
    assert chart.locator("svg").count() == 1


# Vertical distance of a mark from the name of its row, in pixels.
DISTANCE = """plot => {
    const middle = element => {
        const { top, bottom } = element.getBoundingClientRect();
        return (top + bottom) / 2;
    };
    const name = [...plot.querySelectorAll("text")].find(one => one.textContent === "turbo");
    const marks = [...plot.querySelectorAll(".mark-symbol path")].map(middle);
    return Math.min(...marks.map(at => Math.abs(at - middle(name))));
}"""


@pytest.mark.parametrize(("width", "least", "most"), [(1024, 0, 3), (360, 12, 24)])
def test_names_stand_beside_their_marks_where_there_is_room_and_else_above(
    opened, page_of, width, least, most
):
    found = opened(page_of("tutorial/bench"), width=width)
    found.draw_all()
    distance = found.page.locator(".plot").first.evaluate(DISTANCE)
    assert least <= distance <= most


def test_theme_follows_the_system_until_the_switch_is_used_and_charts_follow(opened, sample):
    page = opened(sample, color_scheme="dark").page
    mark = page.locator(".plot .mark-rect path").first

    def colors() -> tuple[str, str]:
        body = page.locator("html").evaluate("html => getComputedStyle(html).backgroundColor")
        return body, mark.evaluate("mark => getComputedStyle(mark).fill")

    dark, switch = colors(), page.get_by_role("button", name="Theme")
    switch.click()
    light = colors()
    switch.click()
    assert dark[0] == "rgb(16, 19, 23)"
    assert light[0] == "rgb(255, 255, 255)"
    assert light[1] != dark[1]
    assert colors() == dark
    page.reload()
    assert "dark" in switch.inner_text()


def test_prints_on_paper_what_is_open_and_draws_it(opened, sample):
    found = opened(sample, color_scheme="dark")
    pdf = found.page.pdf(format="A4", prefer_css_page_size=True)
    assert pdf.startswith(b"%PDF-")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) > 1
    assert found.page.locator("main details[open]").count() == 0
    assert found.page.locator(".plot svg").count() == 2  # also the one that was not seen before
    assert found.complaints == []


def test_everything_is_reached_by_the_keyboard(opened, sample):
    page = opened(sample).page
    page.locator("#time").scroll_into_view_if_needed()
    page.locator(".zoom button").first.wait_for()
    page.evaluate("scrollTo(0, 0); document.activeElement.blur()")
    reached = []
    for _ in range(80):
        page.keyboard.press("Tab")
        reached.append(page.evaluate(_FOCUSED))
        if reached[-1] == "Raw samples":
            break
    assert reached[0] == "Skip to the results"
    for name in ("Theme: system", "Copy", "loader", "images/s", "Filter", "Zoom in", "Raw samples"):
        assert name in reached
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.locator("details.more[open]").count() == 1


_FOCUSED = """() => {
    const element = document.activeElement;
    return (element.labels?.[0] ?? element).innerText.trim().split("\\n")[0];
}"""


def test_contents_lead_to_the_sections_and_mark_the_one_in_view(opened, sample):
    page = opened(sample, 1400).page
    page.get_by_role("navigation").get_by_role("link", name="Over time").click()
    page.locator("nav [aria-current]", has_text="Over time").wait_for()
    assert page.url.endswith("#time")


def test_is_complete_without_scripts_but_for_charts(opened, sample):
    page = opened(sample, java_script_enabled=False).page
    assert "need JavaScript" in page.locator("noscript").text_content()
    assert page.locator("section > .table table").is_visible()
    assert page.get_by_role("button", name="Theme").count() == 0


def test_size_of_20_trials_with_9_blocks_is_below_6_mb(page_of_20_trials: Path, opened):
    assert page_of_20_trials.stat().st_size < 6_000_000
    found = opened(page_of_20_trials)
    found.draw_all()
    assert found.page.locator(".plot svg").count() > 1
    assert found.complaints == []
