"""A file is either complete or unchanged, however the process that writes it ends."""

import signal
import subprocess
import sys

import pytest

from feedbench import replacing as module
from feedbench.replacing import PART, replacing

KILLED = """
import sys, time
from pathlib import Path
from feedbench.replacing import replacing
with replacing(Path(sys.argv[1]), alone=sys.argv[2:] == ["alone"]) as beside:
    beside.write_text("new")
    print("written", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "picture.png"
    path.write_text("old")
    return path


def left_by_a_kill(path, *words):
    """The files that a process leaves that is killed between writing and renaming."""
    command = [sys.executable, "-c", KILLED, str(path), *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "written\n"
        process.send_signal(signal.SIGKILL)
    return {one.name for one in path.parent.iterdir()} - {path.name}


def test_a_kill_between_writing_and_renaming_leaves_the_old_file(path):
    (left,) = left_by_a_kill(path)
    assert left.startswith(PART)
    assert left.endswith(f".{path.name}")
    assert path.read_text() == "old"


def test_what_a_killed_process_left_is_overwritten_where_it_wrote_alone(path):
    assert left_by_a_kill(path, "alone") == {PART + path.name}
    with replacing(path, alone=True) as beside:
        beside.write_text("newer")
    assert path.read_text() == "newer"
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("alone", [False, True])
def test_an_error_while_writing_leaves_the_old_file_and_no_temporary_one(path, alone):
    def write(error=None):
        with replacing(path, alone=alone) as beside:
            beside.write_text("new")
            if error is not None:
                raise error

    with pytest.raises(ValueError, match="half"):
        write(ValueError("half"))
    assert path.read_text() == "old"
    write()
    assert path.read_text() == "new"
    assert list(path.parent.iterdir()) == [path]


def test_the_temporary_file_has_the_suffix_that_libraries_choose_a_format_by(path):
    with replacing(path) as beside:
        beside.touch()
        assert beside.suffix == ".png"


def test_file_and_folder_are_on_the_disk_before_anything_else_is_done(path, monkeypatch):
    flushed, to_disk = [], module._to_disk

    def noted(one):
        flushed.append((one, path.read_text()))
        to_disk(one)

    monkeypatch.setattr(module, "_to_disk", noted)
    with replacing(path) as beside:
        beside.write_text("new")
    assert flushed == [(beside, "old"), (path.parent, "new")]
