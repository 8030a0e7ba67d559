"""A process that takes long says where it is at the user's code, and that it imports there."""

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
getattr(pipeline, "start", lambda: None)()
time.sleep(600)
"""
FORK = "import os\n\ndef work():\n    {}\nif os.fork() == 0:\n    work()\n"
WORKERS = """
import multiprocessing, pathlib, time

def work():
    pathlib.Path("{}").touch(); time.sleep(600)

def start():
    multiprocessing.get_context("{}").Process(target=work).start()
    {}
"""
WAIT = """while not pathlib.Path("working").exists():
        time.sleep(0.01)
    pathlib.Path("begun").touch(); time.sleep(600)
"""
HANG = "import pathlib, time; pathlib.Path('begun').touch(); time.sleep(600)\n"


@contextmanager
def standing(tmp_path, pipeline, library, folder="code"):
    """A function that says where a process stands that imports a pipeline, once it hangs."""
    code, libraries, log = tmp_path / folder, tmp_path / "site-packages", tmp_path / "log"
    for place, name, text in ((code, "pipeline", pipeline), (libraries, "large", library)):
        place.mkdir()
        (place / f"{name}.py").write_text(text)
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


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_worker_of_multiprocessing_says_where_it_stands(tmp_path, method):
    with standing(tmp_path, WORKERS.format("begun", method, ""), "") as where:
        assert where() == f"{tmp_path / 'code' / 'pipeline.py'}, line 5, in work"


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_both_are_named_if_the_users_own_code_waits_for_a_worker(tmp_path, method):
    with standing(tmp_path, WORKERS.format("working", method, WAIT), "") as where:
        file = tmp_path / "code" / "pipeline.py"
        assert where() == f"{file}, line 11, in start; a worker process in {file}, line 5, in work"


def test_a_folder_may_have_a_name_that_is_not_ascii(tmp_path):
    with standing(tmp_path, HANG, "", "Köln ✓ 🙂") as where:
        place = f"{tmp_path / 'Köln ✓ 🙂' / 'pipeline.py'}, line 1, in <module>"
        assert where() == place
