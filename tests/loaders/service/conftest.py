"""Services of real servers on 127.0.0.1."""

import signal
import subprocess
import sys

import pytest

from feedbench.loaders import scan


class Servers:
    """Processes of `feedbench serve`."""

    def __init__(self):
        self.processes = {}

    def start(self, name, *options):
        """Start a server, and return its address."""
        command = [sys.executable, "-m", "feedbench.bench.cli", "serve", *map(str, options)]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.processes[name] = process
        line = process.stdout.readline()
        assert line, process.stderr.read()
        return line.split()[1].rstrip(",")

    def end(self, name, number=signal.SIGKILL):
        """End a server; return its exit code and what it wrote to standard error."""
        process = self.processes.pop(name)
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)
        return process.returncode, errors

    def close(self):
        for name in list(self.processes):
            self.end(name)


@pytest.fixture
def servers():
    running = Servers()
    yield running
    running.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """The address of a dispatcher with two workers, shared by the tests of a module."""
    running = Servers()
    dispatcher = running.start("dispatcher", "--dispatcher", "127.0.0.1:0")
    for name in ("one", "two"):
        running.start(name, "--worker", "127.0.0.1:0", "--of", dispatcher)
    yield dispatcher
    running.close()


@pytest.fixture(scope="session")
def manifest(splits_folder):
    return scan(splits_folder).only("train")
