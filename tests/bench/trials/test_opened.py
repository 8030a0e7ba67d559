"""All opened files are recorded, whichever process or thread opens them."""

import os
import subprocess
import sys
from time import monotonic, sleep

from feedbench.bench.trials.opened import OpenedFiles, folders_below


def _wait(condition):
    deadline = monotonic() + 120
    while not condition() and monotonic() < deadline:
        sleep(0.01)
    return condition()


def test_opens_of_tensorflow_of_processes_and_of_inner_folders_are_seen(tmp_path):
    import tensorflow as tf

    inner = tmp_path / "inner"
    inner.mkdir()
    paths = [tmp_path / "a", inner / "b", tmp_path / "never"]
    for path in paths:
        path.write_bytes(b"x")
    with OpenedFiles(folders_below(os.fsencode(tmp_path))) as opened:
        tf.io.read_file(str(paths[0]))
        code = f"open({str(paths[1])!r}).close()"
        subprocess.run([sys.executable, "-c", code], check=True)
        expected = {os.fsencode(path) for path in paths[:2]}
        assert _wait(lambda: expected <= opened.paths)
    assert opened.paths == expected
    assert opened.error is None


def test_a_file_that_was_read_is_announced_when_it_is_closed(tmp_path):
    path, closed = tmp_path / "a", []
    path.write_bytes(b"x")
    with OpenedFiles([os.fsencode(tmp_path)], closed.append):
        with path.open("rb") as file:
            file.read()
        assert _wait(lambda: closed == [os.fsencode(path)])


def test_a_folder_that_is_not_there_is_reported(tmp_path):
    with OpenedFiles([os.fsencode(tmp_path / "missing")]) as opened:
        pass
    assert "No such file" in opened.error


def test_the_folder_of_a_single_file_is_watched(tmp_path):
    (tmp_path / "list.csv").write_text("")
    assert folders_below(os.fsencode(tmp_path / "list.csv")) == [os.fsencode(tmp_path)]
