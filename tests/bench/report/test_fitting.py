"""Tables fit into any width: columns are hidden, texts wrap at words, and nothing is lost."""

import pytest

from feedbench.bench.analysis.estimate import Estimate
from feedbench.bench.report.document import ALWAYS, Column, TableData, estimates, only_csv, words
from feedbench.bench.report.fitting import choose_layout, share_out

INTERVAL = Estimate(value=1234, low=1200, high=1260)


def table(*columns, rows=("a",)):
    return TableData("table", columns, rows)


def figure(title, text="1", importance=ALWAYS):
    return Column(title, title, lambda row: text, importance=importance)


def test_columns_without_a_value_or_a_title_are_left_out():
    empty = Column("empty", "empty", lambda row: None)
    layout = choose_layout(table(figure("a"), empty, only_csv("b", str)), 80)
    assert [column.title for column in layout.columns] == ["a"]
    assert layout.hidden == []


def test_figures_that_leave_no_room_are_hidden_from_the_right_by_importance():
    name = words("name", "name", lambda row: "x" * 24)
    figures = [figure(f"{index}" * 12, importance=index == 8) for index in range(9)]
    assert choose_layout(table(name, *figures), 160).hidden == []
    assert [title[0] for title in choose_layout(table(name, *figures), 120).hidden] == [
        "5",
        "6",
        "7",
    ]


def test_intervals_go_below_their_values_before_a_column_is_hidden():
    rate = estimates("images/s", "rate", lambda row: INTERVAL, "{:,.0f}")
    layouts = [
        choose_layout(table(figure("n"), rate, figure("m", importance=0)), w) for w in (60, 25)
    ]
    assert [layout.is_stacked for layout in layouts] == [False, True]
    assert [layout.hidden for layout in layouts] == [[], []]


def test_the_full_width_is_the_least_that_hides_nothing():
    columns = [figure("n"), *(figure(f"{i}" * 9, importance=0) for i in range(5))]
    full = choose_layout(table(*columns), 30).full_width
    assert choose_layout(table(*columns), full).hidden == []
    assert choose_layout(table(*columns), full - 1).hidden == ["444444444"]
    assert choose_layout(table(*columns), full).width == full


@pytest.mark.parametrize(
    ("spare", "shares"),
    [(100, [64, 16]), (36, [24, 12]), (12, [7, 5]), (8, [4, 4])],
    ids=["all", "more to the longer", "what is needed", "too little"],
)
def test_texts_share_a_width_by_what_they_need_and_by_their_length(spare, shares):
    assert share_out(spare, least=[5, 5], wanted=[64, 16]) == shares


def test_wide_characters_take_two_columns():
    assert choose_layout(table(words("n", "n", lambda row: "衣服")), 80).widths == [4]


def test_control_characters_have_the_width_of_what_replaces_them():
    assert choose_layout(table(words("n", "n", lambda row: "a\x1b[31m")), 80).widths == [6]
