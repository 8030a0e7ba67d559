"""Tables as CSV: what a name holds is neither a command to a terminal nor a formula."""

import csv
from io import StringIO

import pytest

from feedbench.bench.report.csv_text import as_csv
from feedbench.bench.report.document import TableData, only_csv


def written(*values) -> list[str]:
    table = TableData("any", [only_csv("name", lambda row: row)], values)
    return [row[0] for row in csv.reader(StringIO(as_csv(table)))][1:]


@pytest.mark.parametrize("sign", "=+-@")
def test_a_text_that_a_spreadsheet_would_compute_has_a_quote_before_it(sign):
    assert written(f"{sign}cmd", f"cache{sign}decoded") == [f"'{sign}cmd", f"cache{sign}decoded"]


def test_numbers_keep_their_sign_and_truth_is_in_small_letters():
    assert written(-1.5, 0, True) == ["-1.5", "0", "true"]


def test_control_characters_are_replaced_and_lines_stay():
    assert written("a\x1b[31m\u202eb", 'one\ntwo, "three"') == ["a�[31m�b", 'one\ntwo, "three"']
