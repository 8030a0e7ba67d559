import re
from base64 import b64encode
from html.parser import HTMLParser

import pytest

from feedbench.bench.html.parts import (
    Chart,
    Code,
    Column,
    Details,
    Figure,
    Headline,
    Picture,
    Report,
    Section,
    Table,
    Text,
)
from feedbench.bench.html.render import render

EVIL = "<script>alert(1)</script>.jpg"
QUOTED = "\"' onload=alert(1) x="


def table(name: str = "a", rows: int = 2) -> Table:
    columns = [Column("file", help=QUOTED), Column("images/s", numeric=True)]
    return Table(
        f"Table of {name}", columns, [[name, Figure(n, n - 1, n + 1)] for n in range(rows)]
    )


def chart(name: str = "a") -> Chart:
    spec = {"data": {"values": [{"name": name, "x": 1}]}, "mark": "bar", "encoding": {}}
    return Chart(f"Chart of {name}", f"Summary of {name}", spec, table=table(name))


def report(name: str = "a", *parts) -> Report:
    return Report(
        f"Title of {name}",
        Headline(f"Sentence about {name}.", f"feedbench bench {name}"),
        [Section(f"Section of {name}", parts or [Text(name)], "first")],
    )


def every_part(name: str) -> list:
    return [
        Text(name, "warning"),
        Code(name, name),
        table(name),
        chart(name),
        Picture(name, name, b"png"),
        Details(name, [Text(name), Details(name, [table(name)])]),
    ]


class Elements(HTMLParser):
    """The elements of a page with their attributes, and the text outside scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict]] = []
        self.text, self._skipped = "", False
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        if tag != "wbr":  # depends on the signs in a name
            self.found.append((tag, dict(attrs)))
        self._skipped = tag in ("script", "style")

    def handle_endtag(self, tag):
        self._skipped = False

    def handle_data(self, data):
        if not self._skipped:
            self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture(scope="module")
def evil() -> Elements:
    return Elements(render([report(EVIL, *every_part(EVIL)), report(QUOTED, *every_part(QUOTED))]))


def test_names_that_look_like_html_are_text_in_every_part(evil):
    plain = Elements(render([report("a", *every_part("a")), report("b", *every_part("b"))]))
    assert [tag for tag, _ in evil.found] == [tag for tag, _ in plain.found]
    assert [sorted(each) for _, each in evil.found] == [sorted(each) for _, each in plain.found]
    assert evil.text.count(EVIL) > 10


def test_headings_sections_and_contents_of_several_reports_do_not_mix(evil):
    ids = [attributes["id"] for _, attributes in evil.found if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {"result-1", "result-2", "result-1-first", "result-2-first"} <= set(ids)
    links = {attributes["href"] for attributes in evil.all("a")}
    assert {link[1:] for link in links} <= set(ids)


def test_one_report_has_its_verdict_as_the_only_first_heading():
    page = render([report()])
    assert len(re.findall("<h1", page)) == 1
    assert re.search(r"<h1[^>]*>Sentence about a\.</h1>", page)


def test_only_the_first_sentence_of_a_verdict_is_large():
    verdict = Headline("Take turbo: 1.5 times as fast.\nMore blocks would tell. So would data.")
    page = render([Report("Bench", verdict, [])])
    assert re.search(r"<h1[^>]*>Take turbo: 1\.5 times as fast\.</h1>", page)
    assert '<p class="lead">More blocks would tell. So would data.</p>' in page


def test_bytes_that_are_no_text_and_control_characters_are_replaced():
    page = render([report("a\udc80\x00\x1b[31m\u202eb", Text("1\t2\n3"))])
    page.encode()
    assert "Title of a��" in page
    assert not re.search("[\x00\x1b\u202e]", page.partition("<script")[0])
    assert re.search("1 +2\n3", page)


def test_numbers_are_sorted_by_value_and_long_tables_can_be_filtered():
    short, long = render([report("a", table())]), render([report("a", table(rows=8))])
    assert not Elements(short).all("input")
    (field,) = Elements(long).all("input")
    assert field["type"] == "search"
    assert 'data-sort="1"' in short
    assert '1 <span class="interval">[0, 2]</span>' in short


def test_marked_rows_and_details_are_written():
    rows = Table("t", [Column("a")], [["x"], ["y"]], frozenset({1}), "the note")
    page = render([report("a", Details("Raw", [rows]))])
    assert re.search(r'<tr class="marked">\s*<th[^>]*>y<', page)
    assert "the note" in page
    assert "<summary>Raw</summary>" in page


def test_pictures_are_inside_the_file():
    (picture,) = Elements(render([report("a", Picture("t", "s", b"\x89PNG"))])).all("img")
    encoded = b64encode(b"\x89PNG").decode()
    assert picture == {"alt": "s", "src": f"data:image/png;base64,{encoded}"}


def test_no_line_ends_within_a_ratio_or_at_the_hyphens_of_an_option():
    parts = [Text("Faster: turbo (× 1.19). Take more with --blocks.")]
    page = render([Report("a", Headline("Faster (× 1.19)."), [Section("b", parts, "c")])])
    assert "(×\N{NO-BREAK SPACE}1.19)" in page
    assert "× 1.19" not in page
    assert '<span class="option">--blocks.</span>' in page
