"""A library whose own libraries are missing is one line with the command that installs them."""

import pytest

from feedbench.loaders import LoaderError
from feedbench.loaders.guests.importing import importing
from feedbench.loaders.guests.package import Package


@pytest.mark.parametrize("error", [ImportError, OSError, RuntimeError])
def test_the_first_line_and_what_it_needs_of_debian_are_said(error):
    text = "libavutil.so.58: cannot open shared object file\nand a traceback"
    said = (
        "spdl: cannot be imported: libavutil.so.58: cannot open shared object file; it needs "
        "Debian's packages: apt-get install ffmpeg"
    )
    with pytest.raises(LoaderError) as raised, importing("spdl", Package("", (), "ffmpeg")):
        raise error(text)
    assert str(raised.value) == said


def test_without_such_packages_only_the_error_is_said():
    with (
        pytest.raises(LoaderError, match=r"^grain: cannot be imported: ImportError$"),
        importing("grain", Package("", ())),
    ):
        raise ImportError
