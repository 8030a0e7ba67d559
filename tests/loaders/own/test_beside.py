"""A user's file runs as beside its own modules, whatever their names."""

import sys
from pathlib import Path

import pytest

from feedbench.loaders import BatchSpec, OwnError, find_loader, forget, open_loader, scan

SPEC = BatchSpec(batch_size=1, image_size=8)
MAKE = "import numpy as np\ndef make():\n    return [(np.array([NAME]), np.zeros(1, int))]\n"


@pytest.fixture
def said(class_folder):
    """Returns a function that gives what the first batch of a loader holds."""
    manifest = scan(class_folder).only("train")

    def first(name):
        with open_loader(name, manifest, SPEC) as stream:
            return str(next(stream).images[0])

    return first


@pytest.mark.parametrize("name", ["loaders", "trainer", "bench", "model"])
def test_modules_of_the_user_may_have_the_names_of_ours(write, said, name):
    write(f"code/{name}.py", "NAME = 'mine'")
    write("code/pipeline.py", f"from {name} import NAME\n{MAKE}")
    assert said("code/pipeline.py:make") == "mine"


@pytest.mark.parametrize("name", ["loaders", "trainer", "bench", "model"])
def test_the_file_itself_may_have_one_of_these_names(write, said, name):
    write(f"{name}.py", f"NAME = 'mine'\n{MAKE}")
    assert said(f"{name}.py:make") == "mine"


def test_relative_imports_work_in_a_package(write, said):
    write("mine/__init__.py", "")
    write("mine/names.py", "NAME = 'relative'")
    write("mine/inner/__init__.py", "")
    write("mine/inner/pipeline.py", f"from ..names import NAME\n{MAKE}")
    assert said("mine.inner.pipeline:make") == "relative"


def test_data_files_are_found_from_the_working_directory_and_beside_the_file(write, said):
    write("names.txt", "in the working directory")
    write("code/names.txt", "beside the file")
    read = "from pathlib import Path\nNAME = Path('names.txt').read_text() + ', ' + (Path("
    write("code/pipeline.py", f"{read}__file__).parent / 'names.txt').read_text()\n{MAKE}")
    assert said("code/pipeline.py:make") == "in the working directory, beside the file"


def test_modules_of_python_path_are_found(write, said, tmp_path, monkeypatch):
    write("elsewhere/theirs.py", "NAME = 'PYTHONPATH'")
    monkeypatch.syspath_prepend(tmp_path / "elsewhere")
    write("pipeline.py", f"from theirs import NAME\n{MAKE}")
    assert said("pipeline.py:make") == "PYTHONPATH"


def test_the_main_part_is_not_run(write, said):
    write("pipeline.py", f"{MAKE}NAME = __name__\nif __name__ == '__main__':\n    raise SystemExit")
    assert said("pipeline.py:make") == "pipeline"
    assert sys.path[0] == str(Path.cwd())


def test_a_file_with_the_name_of_a_loaded_module_is_one_line(write, said):
    write("json.py", f"NAME = ''\n{MAKE}")
    with pytest.raises(OwnError, match=r"already loaded a module called 'json' from .+; rename"):
        said("json.py:make")


def test_arguments_of_the_command_line_are_not_seen(write, said, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["feedbench", "bench", "photos"])
    parsed = "import argparse\nparser = argparse.ArgumentParser()\nNAME = parser.parse_args()\n"
    write("pipeline.py", f"{parsed}{MAKE}")
    assert said("pipeline.py:make") == "Namespace()"
    assert sys.argv[0] == "feedbench"


def test_modules_of_one_folder_do_not_stand_in_for_those_of_another(write, said):
    for folder in ("one", "two"):
        write(f"{folder}/model.py", f"NAME = {folder!r}")
        write(f"{folder}/pipeline.py", f"from model import NAME\n{MAKE}")
        assert said(f"{folder}/pipeline.py:make") == folder
        forget(find_loader(f"{folder}/pipeline.py:make").own)
    assert not {"model", "pipeline"} & set(sys.modules)
    assert "feedbench.loaders" in sys.modules


def test_a_folder_of_python_path_stays_in_it(write, said, tmp_path, monkeypatch):
    """As that of an installed package, whose entry points are looked for in `sys.path`."""
    write("elsewhere/theirs.py", f"NAME = 'theirs'\n{MAKE}")
    monkeypatch.setattr(sys, "path", [*sys.path, str(tmp_path / "elsewhere")])
    before = list(sys.path)
    forget(find_loader("theirs:make").own)  # which was not imported
    assert sys.path == before
    assert said("theirs:make") == "theirs"
    forget(find_loader("theirs:make").own)
    assert sys.path == before
