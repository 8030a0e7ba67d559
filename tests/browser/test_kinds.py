"""The page of each kind of record in a real browser, with everything open."""

from pathlib import Path

import pytest

RECORDS = Path(__file__).parents[1] / "bench" / "commands" / "records"  # of kinds not published
KINDS = {
    "bench": "tutorial/first",
    "compare": "compare/turbo-packed.json",
    "diagnose": "tutorial/diagnosis",
    "fit": "fit-clothing",
    "limits": "limits/tf_data-clothing",
    "pixels": "pixels-clothing/96-nearest.json",
    "plan": RECORDS / "plan.json",
    "scan": RECORDS / "scan.json",
    "selftest": RECORDS / "selftest.json",
    "study": "range-study",
    "train": "fast-training/turbo",
    "tune": "tune-vs-grid/drain/tune-0.json",
}
WITHOUT_CHARTS = {"plan"}
MARKS = (
    ".role-mark:is(.mark-rect, .mark-symbol, .mark-line, .mark-rule, .mark-area) :is(path, line)"
)
OPEN_ALL = "document.querySelectorAll('main details').forEach((one) => { one.open = true; })"
# Texts of charts that reach beyond their drawing, and those that lie over another.
CUT_OR_COVERED = """() => [...document.querySelectorAll(".plot svg")].flatMap((svg) => {
    const frame = svg.getBoundingClientRect();
    const texts = [...svg.querySelectorAll("text")].filter((one) => one.textContent.trim());
    const boxes = texts.map((one) => [one.textContent, one.getBoundingClientRect()]);
    const cut = boxes.filter(([, box]) => box.width && (box.left < frame.left - 1
        || box.right > frame.right + 1 || box.top < frame.top - 1
        || box.bottom > frame.bottom + 1));
    const covered = boxes.filter(([, one], number) => boxes.slice(number + 1).some(([, other]) =>
        one.left < other.right - 1 && other.left < one.right - 1
        && one.top < other.bottom - 4 && other.top < one.bottom - 4));
    return [...cut, ...covered].map(([text]) => text);
})"""


@pytest.mark.parametrize("width", [360, 1024])
@pytest.mark.parametrize("kind", KINDS)
def test_every_chart_has_marks_and_whole_texts_and_nothing_is_requested(
    opened, page_of, kind, width
):
    file = page_of(str(KINDS[kind]))
    found = opened(file, width)
    found.page.evaluate(OPEN_ALL)
    found.draw_all()
    plots = found.page.locator(".plot").all()
    assert bool(plots) is (kind not in WITHOUT_CHARTS)
    assert [plot.get_attribute("aria-label") for plot in plots if not has_marks(plot)] == []
    assert found.page.evaluate(CUT_OR_COVERED) == []
    assert found.page.evaluate("document.documentElement.scrollWidth") == width
    assert found.complaints == []
    assert found.requests == [file.as_uri()]


def has_marks(plot) -> bool:
    return plot.locator(MARKS).count() > 0
