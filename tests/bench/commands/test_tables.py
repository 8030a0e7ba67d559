"""The tables of commands fit into any terminal, and keep every word."""

import sys
from functools import lru_cache
from io import StringIO
from pathlib import Path

import pytest
from rich.cells import cell_len

from feedbench.bench.cli import main
from feedbench.bench.commands.output import print_parts
from feedbench.bench.plan.accelerators import accelerators
from feedbench.bench.report.document import ALWAYS, TableData
from feedbench.bench.report.fitting import choose_layout
from feedbench.bench.report.terminal import Terminal
from feedbench.bench.results.find import read_result
from feedbench.bench.results.parts import parts_of

RESULTS = Path(__file__).parents[3] / "results"
TRAININGS = [RESULTS / "clothing-training" / name for name in ("scratch", "tuned")]
WIDTHS = [80, 120, 160]
RECORDS = [
    "clothing-cpu",
    "clothing-cpu/training.json",
    "diagnose-clothing",
    "diagnose-clothing/diagnosis.json",
    "fit-clothing",
    "limits/clothing",
    "limits/clothing/limits.json",
    "pixels-clothing/224-bilinear.json",
    "range-study",
    "tune-vs-grid/drain/tune-0.json",
    "tune-vs-grid/emulated-rtx3090/grid-1.json",
]
OTHERS = Path(__file__).parent / "records"  # of kinds that are not published
PLACES = [*(RESULTS / name for name in RECORDS), *sorted(OTHERS.iterdir())]


def output(monkeypatch, capsys, width, *arguments) -> str:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setattr(sys, "argv", ["feedbench", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    return capsys.readouterr().out


def assert_whole(text: str, width: int) -> None:
    table = [line for line in text.splitlines() if line.startswith(" ")]
    assert table
    assert "…" not in text
    assert max(map(len, table)) <= width


@pytest.mark.parametrize("width", WIDTHS)
def test_accelerators_shows_every_field_of_every_profile(monkeypatch, capsys, width):
    text = output(monkeypatch, capsys, width, "accelerators")
    assert_whole(text, width)
    words = set(text.replace(":", " ").split())
    for name, profile in accelerators().items():
        assert {name, f"{profile.images_per_second:,.0f}", str(profile.batch_size)} <= words
        texts = (profile.device, profile.network_text(), profile.precision)
        assert {word for text in texts for word in text.split()} <= words, name
        assert f"{name}: {profile.source}." in " ".join(text.split())


@pytest.fixture(scope="module")
def read():
    """A function: what is printed of a record in this folder, read once."""
    return lru_cache(lambda place: list(parts_of(read_result(place))))


@pytest.mark.parametrize("place", PLACES, ids=lambda place: "/".join(place.parts[-2:]))
def test_at_any_width_no_line_is_longer_and_no_word_of_a_cell_is_broken(place, read, printed):
    for width in range(60, 201, 10):
        for part in read(place):
            text = printed(part, width=width)
            if isinstance(part, TableData) or part.form == "text":
                assert max(map(cell_len, text.splitlines()), default=0) <= width
            if isinstance(part, TableData):
                assert words_of_cells(part, width) <= set(text.split()), width


def words_of_cells(table: TableData, width: int) -> set[str]:
    columns = choose_layout(table, width).columns
    cells = (column.printed(row).plain for column in columns for row in table.printed)
    return {word for cell in cells for word in cell.split()}


@pytest.mark.parametrize("place", PLACES, ids=lambda place: "/".join(place.parts[-2:]))
def test_at_160_columns_and_in_wide_tables_nothing_is_hidden(place, read, printed):
    tables = [part for part in read(place) if isinstance(part, TableData)]
    for table in tables:
        assert "Hidden" not in printed(table, width=160)
        wide = StringIO()
        print_parts(Terminal(width=60, file=wide, has_wide_tables=True), [table])
        assert words_of_cells(table, 1_000) <= set(wide.getvalue().split())
        assert "Hidden" not in wide.getvalue()


@pytest.mark.parametrize("place", PLACES, ids=lambda place: "/".join(place.parts[-2:]))
def test_at_80_columns_every_table_keeps_its_names_and_its_main_figures(place, read):
    for table in read(place):
        if isinstance(table, TableData):
            shown = choose_layout(table, 80)
            assert {*filter(is_kept, table.filled)} <= {*shown.columns}
            assert shown.width <= 80


def is_kept(column) -> bool:
    return column.importance == ALWAYS


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("command", ["accelerators", "loaders"])
def test_tables_of_what_there_is_break_no_word(monkeypatch, capsys, width, command):
    assert_whole(output(monkeypatch, capsys, width, command), width)


@pytest.mark.parametrize("width", WIDTHS)
def test_compare_names_each_training_in_its_heading(monkeypatch, capsys, width):
    text = output(monkeypatch, capsys, width, "compare", *TRAININGS)
    assert_whole(text, width)
    headings = [line.split() for line in text.splitlines() if "scratch" in line]
    assert ["scratch,", "tuned,"] in headings
