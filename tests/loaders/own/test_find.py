"""Names of users' functions, and what is read of them without running their files."""

import os
import subprocess
import sys

import pytest

from feedbench.loaders import LoaderError, find_loader, parse_settings
from feedbench.loaders.own.settings import given

MAKE = """
    SPACE = {"workers": [2, 4, 8]}

    def helper():
        pass

    def make_dataset(data, batch_size, *, workers=2, buffer=None, mode=helper):
        raise AssertionError("the file is read, not run")

    raise AssertionError("the file is read, not run")
    """


def refused(name):
    with pytest.raises(LoaderError) as caught:
        find_loader(name)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_file_that_no_record_can_name_is_refused(tmp_path):
    file = tmp_path / os.fsdecode(b"\xff") / "pipeline.py"
    file.parent.mkdir()
    file.write_text("def make(batch_size): ...\n")
    text = refused(f"{file}:make")
    assert text.startswith(f"{tmp_path}/\\udcff/pipeline.py: its path is not UTF-8")
    assert text.endswith("move it to a folder with another name")


def test_a_function_of_a_file_is_a_loader_with_its_own_settings(write):
    path = write("pipeline.py", MAKE)
    loader = find_loader("pipeline.py:make_dataset")
    assert (loader.own.file, loader.own.function) == (path, "make_dataset")
    assert len(loader.own.digest) == 64
    assert list(loader.settings.model_fields) == ["workers", "buffer", "mode"]
    assert parse_settings(loader, {"workers": 4}).model_dump() == {
        "workers": 4,
        "buffer": None,
        "mode": "helper",
    }
    assert loader.values("workers") == (2, 4, 8)
    assert (loader.role, loader.readable_by, loader.stages) == ("loader", (), None)


def test_a_function_of_a_module_is_found_without_importing_its_package(write):
    write("mine/__init__.py", "raise AssertionError")
    path = write("mine/inner/__init__.py", "raise AssertionError").parent / "pipeline.py"
    write("mine/inner/pipeline.py", MAKE)
    loader = find_loader("mine.inner.pipeline:make_dataset")
    assert loader.own.file == path
    assert loader.own.folder == path.parents[2]


def test_a_module_of_python_path_is_found(write, tmp_path, monkeypatch):
    write("elsewhere/mine.py", MAKE)
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    assert find_loader("mine:make_dataset").own.folder == tmp_path / "elsewhere"


def test_the_entry_point_of_an_installed_package_is_a_loader(write, tmp_path, monkeypatch):
    write("site/mine.py", MAKE)
    write("site/mine-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    points = "[feedbench.loaders]\nfast = mine:make_dataset\n"
    write("site/mine-1.0.dist-info/entry_points.txt", points)
    monkeypatch.syspath_prepend(tmp_path / "site")
    loader = find_loader("fast")
    assert (loader.name, loader.own.function) == ("fast", "make_dataset")
    assert "did you mean 'fast'" in refused("fasst")
    write("site/mine.py", "def make_dataset(depth): ...")
    with pytest.raises(
        LoaderError, match=r"make_dataset needs depth; give it by --set fast\.depth="
    ):
        parse_settings(find_loader("fast"), {})


def test_a_space_can_be_of_each_function(write):
    write("a.py", "SPACE = {'one': {'n': [1, 2]}, 'two': {}}\ndef one(n=1): ...\ndef two(m): ...")
    assert find_loader("a.py:one").space == {"n": (1, 2)}
    assert find_loader("a.py:two").space == {}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("pipeline.py:make_datset", MAKE, "pipeline.py: no function 'make_datset'; did you mean"),
        ("pipelin.py:make_dataset", MAKE, "did you mean 'pipeline.py'"),
        ("pipeline.py", MAKE, "pipeline.py: name one of its functions too"),
        ("pipeline.py:", MAKE, "'' is not the name of a function"),
        ("no.such:make", MAKE, "no module 'no.such'"),
        ("pipeline.py:f", "x = 1\ndef f(:", "pipeline.py, line 2: invalid syntax: def f(:"),
        ("pipeline.py:f", "f = 1", "pipeline.py, line 1: f must be a function"),
        ("pipeline.py:f", "from .b import f", "line 1: f is imported from .b; name that module"),
        ("pipeline.py:f", "async def f(): ...", "line 1: f must not be async"),
        ("pipeline.py:f", "class f: ...", "line 1: class f has no __init__ of its own"),
        ("pipeline.py:f", "SPACE = [1]\ndef f(): ...", "line 1: SPACE must be a literal dict"),
        ("pipeline.py:f", "SPACE = dict(n=[1])\ndef f(n): ...", "SPACE must be a literal dict"),
        ("pipeline.py:f", "SPACE = {'n': 1}\ndef f(n): ...", "n must have a list of values, got 1"),
        ("pipeline.py:f", "SPACE = {'m': [1]}\ndef f(n): ...", "f has no parameter 'm'"),
        ("pipeline.py:f", "SPACE = {'seed': [1]}\ndef f(seed): ...", "seed is given by Feedbench"),
    ],
)  # fmt: skip
def test_a_name_that_is_wrong_is_one_line(write, name, text, said):
    write("pipeline.py", text)
    assert said in refused(name)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "pipeline.py, line 2: f needs n; give it by --set f.n=VALUE"),
        ({"n": 1, "nn": 2}, "line 2: f has no parameter 'nn'; did you mean 'n'"),
        ({"n": 1, "data": "x"}, "line 2: f is given data by Feedbench; it cannot be set"),
    ],
)
def test_settings_that_do_not_fit_the_signature_are_one_line(write, values, said):
    write("pipeline.py", "\ndef f(data, n, m=1): ...")
    with pytest.raises(LoaderError) as caught:
        parse_settings(find_loader("pipeline.py:f"), values)
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_value_of_feedbench_that_is_misspelt_is_recognized(write):
    write("pipeline.py", "def f(data, spilt): ...")
    with pytest.raises(LoaderError, match=r"f needs spilt; did you mean 'split'\? Else give it by"):
        parse_settings(find_loader("pipeline.py:f"), {})


def test_a_function_with_keywords_takes_any_setting(write):
    write("pipeline.py", "def f(data, **options): ...")
    loader = find_loader("pipeline.py:f")
    assert given(parse_settings(loader, {"workers": 3})) == {"workers": 3}


def test_a_file_that_changes_is_read_again(write):
    write("pipeline.py", "def f(): ...")
    first = find_loader("pipeline.py:f").own
    write("pipeline.py", "def f(workers=1): ...")
    second = find_loader("pipeline.py:f").own
    assert second.digest != first.digest
    assert second.takes("workers")


def test_nothing_heavy_is_imported_to_read_a_file(write):
    write("pipeline.py", "import tensorflow\ndef f(): ...")
    code = (
        "import sys; from feedbench.loaders import find_loader; find_loader('pipeline.py:f');"
        "assert not {'tensorflow', 'keras', 'pipeline'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
