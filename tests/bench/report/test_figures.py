"""Pictures are written whole, in the format that the file's name asks for, or not at all."""

import subprocess
import sys

import matplotlib.image
import pytest

from feedbench.bench.errors import RecordError
from feedbench.bench.report.figures import saved_figure


@pytest.mark.parametrize(
    ("name", "begins"),
    [("a.png", b"\x89PNG"), ("a", b"\x89PNG"), ("a.SVG", b"<?xml"), ("a.pdf", b"%PDF")],
)
def test_the_suffix_decides_the_format(tmp_path, name, begins):
    with saved_figure(tmp_path / name, 2, 1) as figure:
        figure.add_subplot().plot([1, 2])
    assert (tmp_path / name).read_bytes().startswith(begins)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_picture_has_the_size_that_was_asked_for(tmp_path):
    with saved_figure(tmp_path / "a.png", 3, 2, dpi=50):
        pass
    assert matplotlib.image.imread(tmp_path / "a.png").shape[:2] == (100, 150)


def test_an_error_while_drawing_leaves_the_old_picture(tmp_path):
    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), saved_figure(tmp_path / "a.png", 2, 1) as figure:
        figure.add_subplot().plot([1 / 0])
    assert (tmp_path / "a.png").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("name", "said"),
    [("a.bmp", "no picture format 'bmp'; name a file such as"), ("none/a.png", "No such file")],
)
def test_what_cannot_be_written_is_one_line(tmp_path, name, said):
    with pytest.raises(RecordError, match=said) as raised, saved_figure(tmp_path / name, 2, 1):
        pass
    assert "\n" not in str(raised.value)


def test_no_picture_needs_a_display_or_leaves_a_figure_open(tmp_path):
    code = (
        "import sys; from pathlib import Path; from feedbench.bench.report.figures import picture\n"
        "with saved_figure(Path(sys.argv[1]), 2, 1): pass\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=True)
