"""Figures are saved completely, in the format of the file's suffix, or not at all."""

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


def test_a_figure_has_the_requested_size(tmp_path):
    with saved_figure(tmp_path / "a.png", 3, 2, dpi=50):
        pass
    assert matplotlib.image.imread(tmp_path / "a.png").shape[:2] == (100, 150)


def test_an_error_while_drawing_leaves_the_old_file(tmp_path):
    (tmp_path / "a.png").write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), saved_figure(tmp_path / "a.png", 2, 1) as figure:
        figure.add_subplot().plot([1 / 0])
    assert (tmp_path / "a.png").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("name", "message"),
    [("a.bmp", "no picture format 'bmp'; name a file such as"), ("none/a.png", "No such file")],
)
def test_a_file_that_cannot_be_written_is_an_error_of_one_line(tmp_path, name, message):
    with pytest.raises(RecordError, match=message) as raised, saved_figure(tmp_path / name, 2, 1):
        pass
    assert "\n" not in str(raised.value)


def test_saving_needs_no_display_and_no_pyplot(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from feedbench.bench.report.figures import saved_figure\n"
        "with saved_figure(Path(sys.argv[1]), 2, 1): pass\n"
        "assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=True)
