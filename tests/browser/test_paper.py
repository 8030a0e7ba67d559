"""Pages on A4: few, without empty headers and lonely titles."""

import re
import shutil
import subprocess

import pytest

from feedbench.bench.html.parts import (
    Column,
    Details,
    Figure,
    Headline,
    Report,
    Section,
    Table,
    Text,
)
from feedbench.bench.html.render import render

MOST_PAGES = {"tutorial/bench": 6, "clothing-cpu": 6, "tutorial/diagnosis": 7}


@pytest.fixture
def printed(opened, tmp_path):
    """A function: the text of each page of a file on A4."""
    if shutil.which("pdftotext") is None:
        pytest.skip("needs pdftotext: `apt-get install poppler-utils`")

    def pages_of(file, **options) -> list[str]:
        found = opened(file, **options)
        pdf = tmp_path / "page.pdf"
        found.page.pdf(path=pdf, format="A4", prefer_css_page_size=True)
        assert found.complaints == []
        command = ["pdftotext", "-layout", pdf, "-"]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        return text.split("\f")[:-1]

    return pages_of


@pytest.mark.parametrize(("name", "most"), MOST_PAGES.items())
def test_a_report_takes_few_pages_and_no_title_stands_at_the_foot_of_one(
    printed, page_of, name, most
):
    file = page_of(name)
    pages = printed(file)
    assert len(pages) <= most
    html = file.read_text()
    titles = {
        title.strip()
        for pattern in (
            r"<h[23][^>]*>([^<]*)<",
            r'class="caption">([^<]*)<',
            r"figcaption>([^<]*)<",
        )
        for title in re.findall(pattern, html)
    }
    last_lines = [page.rstrip().splitlines()[-1].strip() for page in pages]
    assert not titles & {*last_lines}
    text = "\n".join(pages)
    assert "Environment" in text
    assert "Raw samples" not in text
    assert "The figures as a table" not in text


def long_table(rows: int) -> Table:
    columns = [Column("loader"), *(Column(f"figure {n}", numeric=True) for n in range(12))]
    cells = [
        [f"loader {row}", *(Figure(1000, 990, 1010) for _ in range(12))] for row in range(rows)
    ]
    return Table("All loaders", columns, cells)


def test_a_long_table_repeats_its_titles_and_keeps_its_figures_whole(printed, tmp_path):
    sections = [Section("Rates", [long_table(120)], "rates")]
    report = Report("Bench", Headline("turbo wins."), sections)
    (tmp_path / "long.html").write_text(render([report]))
    pages = printed(tmp_path / "long.html")
    for page in pages[:2]:
        assert re.search(r"loader +figure 0 +figure 1", page)
        assert "1,000 [990, 1,010]" in page
        assert "figure 7" not in page  # the columns that fit
    assert "The page has more columns." in "".join(pages)


def test_what_a_reader_has_opened_is_printed(opened, printed, tmp_path):
    details = Details("Raw samples", [Text("the waits of each block")])
    report = Report("Bench", Headline("turbo wins."), [Section("Samples", [details], "samples")])
    (tmp_path / "details.html").write_text(render([report]))
    assert "Samples" not in "".join(printed(tmp_path / "details.html"))
    page = opened(tmp_path / "details.html").page
    page.locator("summary", has_text="Raw samples").click()
    page.emulate_media(media="print")
    assert page.get_by_text("the waits of each block").is_visible()
