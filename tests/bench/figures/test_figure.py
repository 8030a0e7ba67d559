"""Figures are saved completely, in the format of the file's suffix, or not at all."""

import subprocess
import sys

import matplotlib
import matplotlib.image
import pytest

from feedbench.bench.errors import RecordError
from feedbench.bench.figures.figure import axes_at, saved_figure
from feedbench.bench.figures.fonts import is_drawable
from feedbench.bench.figures.heading import Heading, text_width, wrapped
from feedbench.bench.figures.style import plain, plain_log_scale

NONE = Heading("")
FOUND = Heading("Decoding is the bottleneck", "keras_pil, 224 px", "Whiskers: 95 % intervals.")


@pytest.mark.parametrize(
    ("name", "begins"),
    [("a.png", b"\x89PNG"), ("a", b"\x89PNG"), ("a.SVG", b"<?xml"), ("a.pdf", b"%PDF")],
)
def test_the_suffix_decides_the_format(tmp_path, name, begins):
    with saved_figure(tmp_path / name, 2, 1, NONE) as figure:
        figure.add_subplot().plot([1, 2])
    assert (tmp_path / name).read_bytes().startswith(begins)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_heading_is_added_to_the_requested_size(tmp_path):
    for name, heading in (("none.png", NONE), ("found.png", FOUND)):
        with saved_figure(tmp_path / name, 3, 2, heading, dpi=50):
            pass
    heights = [matplotlib.image.imread(tmp_path / n).shape[:2] for n in ("none.png", "found.png")]
    assert heights[0] == (100, 150)
    assert heights[1] > heights[0]


def test_the_texts_of_an_svg_can_be_searched(tmp_path):
    for name in ("one.svg", "two.svg"):
        with saved_figure(tmp_path / name, 6, 1, FOUND) as figure:
            figure.add_subplot().set_xlabel("$5 & <b> per second")
    text = (tmp_path / "one.svg").read_text()
    for wanted in ("Decoding is the bottleneck", "keras_pil, 224 px", "$5 &amp; &lt;b&gt; per"):
        assert wanted in text
    assert (tmp_path / "two.svg").read_text() == text  # no date and no random names


def test_long_texts_are_wrapped_and_long_words_broken():
    lines = wrapped(f"words of a sentence and {'x' * 300}", 10, 3.0)
    assert len(lines) > 5
    assert all(0 < text_width(line, 10) <= 3.0 for line in lines)
    assert "".join(lines).replace(" ", "") == f"wordsofasentenceand{'x' * 300}"


def test_a_logarithmic_axis_has_plain_numbers(tmp_path, pictures):
    with saved_figure(tmp_path / "a.png", 6, 2, NONE) as figure:
        axes = figure.add_subplot()
        axes.set_xlim(0.5, 20_000)
        plain_log_scale(axes, "x", " ×")
    (saved,) = pictures.saved
    assert {"1 ×", "10 ×", "100 ×", "10,000 ×"} <= set(pictures.texts(saved))
    assert [plain(value) for value in (0.05, 2, 28_294)] == ["0.05", "2", "28,294"]


def test_placed_axes_are_where_they_were_put(tmp_path):
    with saved_figure(tmp_path / "a.png", 4, 2, FOUND) as figure:
        axes = axes_at(figure, 1, 0.5, 2, 1)
    box = axes.get_window_extent()
    assert (box.width, box.height) == pytest.approx((240, 120))
    assert box.x0 == pytest.approx(120)


def test_names_without_a_font_are_known():
    assert is_drawable("shoe, Привет, é")
    assert not is_drawable("\U00012000")


def test_the_users_settings_neither_apply_nor_change(tmp_path):
    with matplotlib.rc_context({"text.parse_math": True, "font.size": 40}):
        with saved_figure(tmp_path / "a.png", 4, 2, Heading("costs $1 or $2")) as figure:
            assert figure.add_subplot().xaxis.label.get_fontsize() < 12
        assert matplotlib.rcParams["font.size"] == 40


def test_an_error_while_drawing_leaves_the_old_file(tmp_path):
    (tmp_path / "a.png").write_bytes(b"old")
    with (
        pytest.raises(ZeroDivisionError),
        saved_figure(tmp_path / "a.png", 2, 1, NONE) as figure,
    ):
        figure.add_subplot().plot([1 / 0])
    assert (tmp_path / "a.png").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.bmp", "no picture format 'bmp'; name a file such as"), ("none/a.png", "No such file")],
)
def test_a_file_that_cannot_be_written_is_an_error_of_one_line(tmp_path, name, message):
    with (
        pytest.raises(RecordError, match=message) as raised,
        saved_figure(tmp_path / name, 2, 1, NONE),
    ):
        pass
    assert "\n" not in str(raised.value)


def test_saving_needs_no_display_and_no_pyplot(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from feedbench.bench.figures.figure import saved_figure\n"
        "from feedbench.bench.figures.heading import Heading\n"
        "assert 'matplotlib' not in sys.modules\n"
        "with saved_figure(Path(sys.argv[1]), 2, 1, Heading('a')): pass\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=True)
