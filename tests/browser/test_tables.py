"""Tables in a real browser: sorted, filtered, explained and copied."""

import pytest

COMMAND = "feedbench train photos/ --loader 'best.toml'"
EVIL = "<script>alert(1)</script>.jpg"
AS_WRITTEN = ["300", "5", "1,200", "40", "40", "7", "90", "1,000", "–"]
RISING = ["5", "7", "40", "40", "90", "300", "1,000", "1,200", "–"]
FALLING = ["1,200", "1,000", "300", "90", "40", "40", "7", "5", "–"]


@pytest.fixture
def page(opened, sample):
    return opened(sample, permissions=["clipboard-read", "clipboard-write"]).page


@pytest.fixture
def table(page):
    return page.locator("section > .table")


def rates(table) -> list[str]:
    return [
        text.split(" ")[0] for text in table.locator("tbody tr td:nth-child(2)").all_inner_texts()
    ]


def test_sorts_by_value_with_click_and_keyboard_and_goes_back(table, page):
    head = table.get_by_role("columnheader", name="images/s")
    assert rates(table) == AS_WRITTEN
    head.get_by_role("button").click()
    assert (rates(table), head.get_attribute("aria-sort")) == (RISING, "ascending")
    page.keyboard.press("Enter")
    assert (rates(table), head.get_attribute("aria-sort")) == (FALLING, "descending")
    page.keyboard.press("Enter")
    assert (rates(table), head.get_attribute("aria-sort")) == (AS_WRITTEN, "none")


def test_sorting_by_another_column_ends_the_first(table):
    table.get_by_role("button", name="images/s").click()
    table.get_by_role("button", name="loader").click()
    assert rates(table) == AS_WRITTEN
    sorts = [head.get_attribute("aria-sort") for head in table.get_by_role("columnheader").all()]
    assert [sort for sort in sorts if sort != "none"] == ["ascending"]


def test_filter_keeps_rows_with_all_words_and_says_how_many(table):
    field = table.get_by_role("searchbox", name="Filter")
    field.fill("alert loader")
    visible = table.locator("tbody tr:visible")
    assert EVIL in visible.inner_text()
    assert table.get_by_role("status").inner_text() == "1 of 9"
    field.fill("nothing like it")
    assert visible.count() == 0
    field.fill("")
    assert visible.count() == 9


def test_titles_of_columns_are_explained_on_hover_and_focus(table, page):
    button = table.get_by_role("button", name="loader")
    button.hover()
    assert page.locator("#tip").inner_text() == "What gives the batches"
    page.mouse.move(0, 0)
    assert page.locator("#tip").is_hidden()
    button.focus()
    assert page.locator("#tip").is_visible()
    described = button.get_attribute("aria-describedby")
    assert page.locator(f"#{described}").text_content() == "What gives the batches"


def test_commands_and_tables_are_copied(page, table):
    page.locator(".headline").get_by_role("button", name="Copy").click()
    page.locator("#said", has_text="Copied").wait_for(state="attached")
    assert page.evaluate("navigator.clipboard.readText()") == COMMAND
    table.get_by_role("searchbox").fill("alert loader")
    table.get_by_role("button", name="Copy").click()
    page.wait_for_function(
        "before => navigator.clipboard.readText().then(text => text !== before)", arg=COMMAND
    )
    lines = page.evaluate("navigator.clipboard.readText()").split("\n")
    assert [line.split("\t")[:2] for line in lines] == [
        ["loader", "images/s"],
        [f"loader 4 {EVIL}", "40 [39, 41]"],
    ]


def test_commands_are_copied_where_the_clipboard_has_no_interface(page):
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.locator(".headline").get_by_role("button", name="Copy").click()
    page.locator("#said", has_text="Copied").wait_for(state="attached")
    page.get_by_role("searchbox").first.press("Control+V")
    assert page.get_by_role("searchbox").first.input_value() == COMMAND
