"""Markdown of tables and lines, in which names mean nothing but themselves."""

import pytest

from feedbench.bench.report.document import Column, Line, TableData, words
from feedbench.bench.report.markdown import as_markdown, escaped


def test_a_table_has_a_rule_below_its_heading_with_figures_to_the_right():
    table = TableData(
        "trials",
        [words("loader", "loader", str), Column("images\nper s", "rate", len, "{:.1f}")],
        ["turbo", "a|b"],
        title="Rates",
        legend="rate: how fast.",
        notes=["One note."],
    )
    assert as_markdown([table, Line("Take turbo.", "bold")]) == (
        "**Rates**\n\n"
        "| loader | images per s |\n| --- | ---: |\n| turbo | 5.0 |\n| a\\|b | 3.0 |\n\n"
        "rate: how fast.\n\nOne note.\n\n**Take turbo.**\n"
    )


def test_a_name_in_a_heading_is_escaped():
    table = TableData("rates", [words("a|<b>\x1b[31m", "name", str)], ["turbo"])
    assert as_markdown([table]).splitlines()[0] == r"| a\|&lt;b&gt;�[31m |"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("keras_pil", "keras_pil"),
        ("_a_", r"\_a\_"),
        ("`x`", r"\`x\`"),
        ("a|b", r"a\|b"),
        ("<script>", "&lt;script&gt;"),
        ("*.jpg", r"\*.jpg"),
        ("[a](b)", r"[a\](b)"),
        ("\\", r"\\"),
        ("~420", r"\~420"),
        ("$x$", r"\$x\$"),
        ("\x1b[31m", "�[31m"),
    ],
)
def test_signs_with_a_meaning_are_escaped(name, text):
    assert escaped(name) == text


@pytest.mark.parametrize(
    ("line", "text"),
    [("# a", r"\# a"), ("- a", r"\- a"), ("1. a", r"1\. a"), ("a - b", "a - b"), ("12", "12")],
)
def test_a_line_is_no_title_and_no_list(line, text):
    assert as_markdown([Line(line)]) == f"{text}\n"


def test_the_lines_of_a_cell_stay_apart():
    table = TableData("t", [words("name", "name", str)], ["turbo\n  limit: copy"])
    assert "| turbo<br>  limit: copy |" in as_markdown([table])


def test_a_traceback_is_a_block_of_code_whatever_is_in_it():
    text = as_markdown([Line("Traceback\n  ````\n", form="code")])
    assert text == "`````\nTraceback\n  ````\n`````\n"


def test_a_table_for_the_csv_alone_is_left_out():
    assert as_markdown([TableData("t", [Column("", "n", str)], ["a"])]) == "\n"
