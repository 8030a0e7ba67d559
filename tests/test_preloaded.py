"""A fork of the process that holds the imports is to a program what a new process would be."""

import codecs
import json
import os
import signal
import subprocess
import sys
import time

import preloaded
import psutil
import pytest

LOOKS = """
import json, os, signal, sys, tempfile
import feedbench

handled = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGPIPE)
own = f"/proc/{os.getpid()}/fd"
opened = [os.readlink(f"{own}/{n}") for n in os.listdir(own) if os.path.exists(f"{own}/{n}")]
found = {
    "has imports": "tensorflow" in vars(sys)["modules"],
    "argv": sys.argv,
    "name": __name__,
    "folder": os.getcwd(),
    "environment": dict(os.environ),
    "path": sys.path,
    "parent": os.getppid(),
    "leads a session": os.getsid(0) == os.getpid(),
    "cores": sorted(os.sched_getaffinity(0)),
    "masked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
    "handlers": [str(signal.getsignal(number)) for number in handled],
    "temporary": tempfile.gettempdir(),
    "buffering": [sys.stdout.line_buffering, sys.stderr.line_buffering],
    "encoding": [(one.encoding, one.errors) for one in (sys.stdin, sys.stdout, sys.stderr)],
    "pipes": sum(name.startswith("pipe:") for name in opened),
    "given": sys.stdin.read(),
}
print(json.dumps(found))
sys.exit("the end")
"""


def seen(command, **options):
    done = subprocess.run(
        command, capture_output=True, text=True, input="some text", check=False, **options
    )
    assert (done.returncode, done.stderr) == (1, "the end\n")
    found = json.loads(done.stdout)
    if isinstance(found, dict):  # libraries add to the environment
        given = options.get("env", os.environ)
        found["environment"] = {name: found["environment"].get(name) for name in given}
    return found


@pytest.mark.parametrize("flags", [[], ["-P"], ["-u"]], ids=str)
@pytest.mark.parametrize("kind", ["code", "script"])
def test_a_program_sees_what_it_sees_in_a_new_process(tmp_path, monkeypatch, flags, kind):
    script = tmp_path / "looks.py"
    script.write_text(LOOKS)
    program = ["-c", LOOKS] if kind == "code" else [script]
    command = [sys.executable, *flags, *program, "one", "2"]
    monkeypatch.setenv("ONE", "\udcff two")
    options = {"cwd": tmp_path, "start_new_session": bool(flags)}
    forked = seen(command, **options)
    with preloaded.spawned():
        new = seen(command, **options)
    assert (forked.pop("has imports"), new.pop("has imports")) == (True, False)
    assert forked == new
    assert forked["parent"] == os.getpid()


def test_another_environment_than_that_of_the_imports_needs_a_process_of_its_own(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    first, second = (seen([sys.executable, "-c", LOOKS]) for _ in range(2))
    assert (first.pop("has imports"), second.pop("has imports")) == (False, True)
    assert first == second
    assert codecs.lookup(first["encoding"][0][0]).name == "iso8859-1"


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"preexec_fn": os.getpid}, LOOKS),
        ({}, "import sys; print(len(sys.modules)); import feedbench; sys.exit('the end')"),
        ({}, "print(1); raise SystemExit('the end')"),
    ],
    ids=["a function before it", "modules", "not Feedbench"],
)
def test_what_a_fork_cannot_do_alike_is_started_anew(options, code, monkeypatch):
    monkeypatch.setattr(preloaded.Zygote, "fork", lambda *_: pytest.fail("it was forked"))
    seen([sys.executable, "-c", code], **options)


WAITS = "import feedbench, time; print('ready', flush=True); time.sleep(600)"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_fork_ends_by_a_signal(number):
    """Even by one that comes before it has begun."""
    for wait in (True, False):
        with subprocess.Popen(
            [sys.executable, "-c", WAITS], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as running:
            if wait:
                assert running.stdout.readline() == b"ready\n"
            running.send_signal(number)
        assert running.returncode == -number


def test_a_child_of_a_forked_command_is_a_fork_too_and_is_gone_with_it(tmp_path):
    code = (
        "import subprocess, sys, feedbench\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import feedbench; input()'],\n"
        "                         stdin=subprocess.PIPE)\n"
        "print(type(child).__module__, child.pid, flush=True)\n"
        "input()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as running:
        module, pid = running.stdout.readline().split()
        assert module == "preloaded"
        assert [child.pid for child in preloaded.children_of(running.pid)] == [int(pid)]
        below = psutil.Process(running.pid).children(recursive=True)
        assert {one.name() for one in below} > {preloaded.NAME}
        running.kill()
    deadline = time.monotonic() + 60
    while any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in below):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_programs_are_started_anew_once_the_process_that_holds_the_imports_has_died(monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "3")
    seen([sys.executable, "-c", LOOKS])
    assert seen([sys.executable, "-c", LOOKS])["has imports"]
    zygote = preloaded._zygotes[preloaded._key(os.environ)]
    zygote._process.kill()
    zygote._process.wait()
    assert not seen([sys.executable, "-c", LOOKS])["has imports"]
