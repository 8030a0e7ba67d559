"""A process that takes long says where it stands in the user's code, and that it imports there."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from feedbench.bench.trials.whereabouts import whereabouts

PROGRAM = """
import sys
from feedbench.bench.trials.whereabouts import write_on_signal
write_on_signal()
sys.path[:0] = sys.argv[1:]
import pipeline
import time
time.sleep(600)
"""
FORK = "import os\n\ndef work():\n    {}\nif os.fork() == 0:\n    work()\n"
HANG = "import pathlib, time; pathlib.Path('begun').touch(); time.sleep(600)\n"


@contextmanager
def standing(tmp_path, pipeline, library):
    """A function that says where a process stands that imports a pipeline, once it hangs."""
    code, libraries, log = tmp_path / "code", tmp_path / "site-packages", tmp_path / "log"
    for folder, name, text in ((code, "pipeline", pipeline), (libraries, "large", library)):
        folder.mkdir()
        (folder / f"{name}.py").write_text(text)
    command = [sys.executable, "-c", PROGRAM, code, libraries]
    with log.open("wb") as errors:
        process = subprocess.Popen(command, stderr=errors, cwd=tmp_path, start_new_session=True)
    try:
        while not (tmp_path / "begun").exists():
            assert process.poll() is None, log.read_text()
            time.sleep(0.01)
        yield lambda: whereabouts(process.pid, log, code)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_library_that_is_still_being_imported_is_said_to_be(tmp_path):
    with standing(tmp_path, "import large\n", HANG) as where:
        place = f"{tmp_path / 'code' / 'pipeline.py'}, line 1, in <module>"
        assert where() == f"{place}, which is still importing"


@pytest.mark.parametrize(
    ("pipeline", "library", "line"),
    [(f"\n{HANG}", "", 2), ("import large\nlarge.wait()\n", f"def wait():\n    {HANG}", 2)],
    ids=["own code", "a library's function"],
)
def test_code_that_hangs_by_itself_is_not_said_to_import(tmp_path, pipeline, library, line):
    with standing(tmp_path, pipeline, library) as where:
        place = f"{tmp_path / 'code' / 'pipeline.py'}, line {line}, in <module>"
        assert where() == place


def test_a_worker_process_that_hangs_says_where_it_stands(tmp_path):
    with standing(tmp_path, FORK.format(HANG), "") as where:
        assert where() == f"{tmp_path / 'code' / 'pipeline.py'}, line 4, in work"
