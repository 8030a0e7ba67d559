"""A live area is drawn in place, fits into its terminal, and leaves nothing behind."""

import errno

import pytest

from feedbench.bench.report.live import Line, LiveArea, is_live


@pytest.fixture
def text():
    """What the area shows; tests change it."""
    return ["first", "second"]


def shown(text):
    return lambda columns, rows: [Line(line) for line in text]


def test_a_frame_replaces_the_one_before(open_terminal, text):
    terminal = open_terminal(80, 24)
    with LiveArea(terminal.console(), shown(text)):
        terminal.wait_for("second")
        text[:] = ["third"]
        screen = terminal.wait_for("third")
    assert screen.lines == ["third"]


def test_nothing_is_left_at_the_end(open_terminal, text):
    terminal = open_terminal(80, 24)
    terminal.file.write("before\n")
    with LiveArea(terminal.console(), shown(text)):
        terminal.wait_for("second")
    terminal.file.write("after\n")
    terminal.close()
    assert terminal.screen().lines == ["before", "after"]


def test_text_is_printed_above_the_area(open_terminal, text):
    terminal = open_terminal(80, 24)
    with LiveArea(terminal.console(), shown(text)) as area:
        terminal.wait_for("second")
        area.print("noted")
        screen = terminal.wait_for("noted\nfirst\nsecond")
    assert screen.lines == ["noted", "first", "second"]


def test_equal_frames_are_written_once(open_terminal, text):
    terminal = open_terminal(80, 24)
    with LiveArea(terminal.console(), shown(text)) as area:
        terminal.wait_for("second")
        for _ in range(3):
            area._paint()
    terminal.close()
    assert terminal.output.count("second") == 1


@pytest.mark.parametrize(("columns", "rows"), [(80, 24), (40, 10)])
def test_long_frames_are_cut_and_never_scroll(open_terminal, columns, rows):
    terminal, count = open_terminal(columns, rows), [0]

    def draw(width, height):
        count[0] += 1
        return [Line(f"{count[0]} {number} {'x' * 200}") for number in range(50)]

    with LiveArea(terminal.console(), draw) as area:
        for _ in range(5):
            area._paint()
        screen = terminal.wait_for("5 0 ")
    assert screen.scrolled == []
    assert len(screen.lines) == rows - 1
    assert {len(line) for line in screen.lines} == {columns - 1}


def test_a_narrower_window_leaves_no_remains(open_terminal, text):
    terminal = open_terminal(80, 24)
    text[:] = ["x" * 70, "second"]
    with LiveArea(terminal.console(), shown(text)):
        terminal.wait_for("second")
        terminal.resize(40, 24)
        text[:] = ["narrow"]
        screen = terminal.wait_for("narrow")
    assert screen.lines == ["narrow"]


def test_an_encoding_without_blocks_gets_ascii_of_the_same_width(open_terminal, text):
    terminal = open_terminal(80, 24, "ascii")
    text[:] = ["▸ 5 × 3 · ▁▄█ … naïve 図"]
    with LiveArea(terminal.console(), shown(text)):
        screen = terminal.wait_for("> 5")
    assert screen.lines == ["> 5 x 3 | _:# ~ na?ve ?"]


def test_control_characters_in_names_reach_no_terminal(open_terminal, text):
    terminal = open_terminal(80, 24)
    text[:] = ["a\x1b[31mb\x07"]
    with LiveArea(terminal.console(), shown(text)):
        screen = terminal.wait_for("a")
    assert screen.lines == ["a�[31mb�"]


@pytest.mark.parametrize("no_color", [True, False])
def test_no_color_has_no_colors(open_terminal, no_color):
    terminal = open_terminal(80, 24)
    lines = [Line("lost", "red"), Line("ahead", "bold")]
    with LiveArea(terminal.console(no_color=no_color), lambda columns, rows: lines):
        terminal.wait_for("ahead")
    assert ("\x1b[31m" in terminal.output) is not no_color


def test_a_dumb_terminal_and_a_pipe_are_not_live(open_terminal, monkeypatch, tmp_path):
    terminal = open_terminal(80, 24)
    assert is_live(terminal.console())
    monkeypatch.setenv("FORCE_COLOR", "1")
    with (tmp_path / "log").open("w") as log:
        assert not is_live(type(terminal.console())(file=log))
    monkeypatch.setenv("TERM", "dumb")
    assert not is_live(terminal.console())


def test_a_terminal_that_was_closed_ends_the_drawing(open_terminal, text, monkeypatch):
    def fail(area, text):
        raise OSError(errno.EIO, "Input/output error")

    terminal = open_terminal(80, 24)
    with LiveArea(terminal.console(), shown(text)) as area:
        terminal.wait_for("second")
        monkeypatch.setattr(LiveArea, "_write", fail)
        text[:] = ["unseen"]
        area._thread.join(60)
        assert not area._thread.is_alive()
