import pytest

from feedbench.bench.html.cells import Shown, shown
from feedbench.bench.html.parts import Figure


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        (None, Shown("–")),
        ("", Shown("–")),
        ("<b>", Shown("<b>")),
        (1234, Shown("1,234", sort=1234)),
        (1234.6, Shown("1,235", sort=1234.6)),
        (0.123456, Shown("0.1235", sort=0.123456)),
        (float("nan"), Shown("–")),
        (Figure(None, 1, 2), Shown("–")),
        (Figure(float("inf")), Shown("–")),
        (Figure(1234.5), Shown("1,234", sort=1234.5)),
        (Figure(2.5, 2, 3, ".1f"), Shown("2.5", "[2.0, 3.0]", 2.5)),
        (Figure(2.5, None, 3, ".1f"), Shown("2.5", sort=2.5)),
        (Figure(1, 1, 1, ".2f"), Shown("1.00", sort=1)),
        (Figure(0.5, format=".0%"), Shown("50%", sort=0.5)),
        (Figure(-0.001, -0.2, 0.1, "+.0%"), Shown("+0%", "[-20%, +10%]", -0.001)),
        (Figure(-0.001, format=",.1f"), Shown("0.0", sort=-0.001)),
        (Figure(7, unit="ms"), Shown("7\N{NO-BREAK SPACE}ms", sort=7)),
    ],
)
def test_cells_show_their_value_and_sort_by_it(cell, expected):
    assert shown(cell) == expected
