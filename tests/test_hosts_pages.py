"""The pages on several machines are followed word by word, on hosts that are network namespaces."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent / "docs"))
from blocks import ROOT, blocks_of
from namespaces import why_not

from feedbench.trainer.checkpoint import CHECKPOINT

pytestmark = [pytest.mark.beyond, pytest.mark.spawned, pytest.mark.timeout(600)]
FEEDBENCH = f"{sys.executable} -m feedbench.bench.cli"
# Behind the options of a page: small images, and few of them.
SMALL = "--batch-size 8 --image-size 32"
TRAINING = f"{SMALL} --epochs 10 --alpha 0.35 --checkpoint-steps 1"


class Hosts:
    """What runs on hosts, each in a folder of its own with a copy of the photographs."""

    def __init__(self, names, photos, root):
        self.folders = {name: root / name for name in names}
        self._running = []
        for folder in self.folders.values():
            shutil.copytree(photos, folder / "photos")

    def start(self, host, command, more=""):
        """Start a command as a page has it, with more options, on a host."""
        words = f"{FEEDBENCH} {command.removeprefix('feedbench ')} {more}".split()
        process = subprocess.Popen(
            ["ip", "netns", "exec", host, *words],
            cwd=self.folders[host],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        )
        self._running.append(process)
        return process

    def run(self, host, command, more=""):
        """Run it to its end; return what it printed."""
        return printed_by(self.start(host, command, more))

    def close(self):
        for process in self._running:
            process.kill()
            process.communicate()


def printed_by(process):
    printed, _ = process.communicate(timeout=300)
    assert process.returncode == 0, printed
    return printed


def commands_of(page, language):
    """The lines of the blocks of a page, without comments."""
    blocks = [one for one in blocks_of(ROOT / "docs" / page) if one.language == language]
    lines = [line for one in blocks for line in one.text.splitlines()]
    return [re.sub(r"\s+#.*", "", line) for line in lines if line]


def only(lines, *words):
    """The only line with all of these words."""
    (found,) = {line for line in lines if all(word in line for word in words)}
    return found


@pytest.fixture
def namespaces():
    """Deletes the namespaces that a test has made."""
    if reason := why_not():
        pytest.skip(f"NOT TESTED HERE: {reason}")
    made = []
    existing = subprocess.run(["ip", "netns"], capture_output=True, text=True, check=True).stdout
    yield made
    for name in set(made) - set(existing.split()):
        subprocess.run(["ip", "netns", "delete", name], check=False)


@pytest.fixture
def stack():
    with ExitStack() as stack:
        yield stack


def test_two_hosts_train_together_stop_and_resume(namespaces, stack, splits_folder, tmp_path):
    page, shell = "several-machines.md", commands_of("several-machines.md", "sh")
    namespaces += ["one", "two"]
    for line in shell:
        if line.startswith("ip "):
            subprocess.run(line, shell=True, check=True)
    hosts = Hosts(namespaces, splits_folder, tmp_path)
    stack.callback(hosts.close)
    (listed,) = (one.text for one in blocks_of(ROOT / "docs" / page) if one.language == "toml")
    for name, folder in hosts.folders.items():
        (folder / "hosts.toml").write_text(listed)
        recipe = hosts.run(name, only(shell, "feedbench recipe").partition(" > ")[0])
        (folder / "recipe.toml").write_text(recipe)
    begin = only(shell, "--recipe recipe.toml", "--out out/run")
    chief, other = (hosts.start(name, begin, TRAINING) for name in ("one", "two"))
    saved = hosts.folders["one"] / "out" / "run" / CHECKPOINT
    while not saved.exists():
        assert chief.poll() is None, chief.communicate()
        time.sleep(0.05)
    other.send_signal(signal.SIGTERM)  # which asks the chief to save, as the page says
    assert "Stopped; a checkpoint is saved" in printed_by(chief)
    assert "the chief has saved a checkpoint" in printed_by(other)
    chief = hosts.start("one", only(shell, "--resume out/run"))
    other = hosts.start("two", begin, TRAINING)
    assert "Model and history" in printed_by(chief)
    printed_by(other)
    assert list((hosts.folders["two"] / "out" / "run-worker-1").iterdir())
    shown = hosts.run("one", only(shell, "feedbench show out/run"))
    assert "10.0.0.2:4711" in shown
    hosts.run("one", only(shell, "feedbench report out/run"))
    assert (hosts.folders["one"] / "report.html").exists()


def test_workers_on_other_hosts_feed_a_bench_a_diagnosis_and_a_training(
    namespaces, stack, splits_folder, tmp_path
):
    lines = commands_of("tf-data-service.md", "text")
    name = f"feedbench-{os.getpid()}-page"
    namespaces.append(name)
    # All addresses are those of one host, whose servers listen on all of them.
    for words in (
        f"netns add {name}",
        f"-n {name} link set lo up",
        *(f"-n {name} address add 10.0.0.{number}/24 dev lo" for number in (1, 2, 3)),
    ):
        subprocess.run(["ip", *words.split()], check=True)
    hosts = Hosts([name], splits_folder, tmp_path)
    stack.callback(hosts.close)
    for line in lines:
        if line.startswith(("feedbench serve --dispatcher", "feedbench serve --worker")):
            server = hosts.start(name, line.replace("10.0.0.3:5051", "10.0.0.3:5052"))
            said = ""
            while "dispatcher: 10" not in said and "worker: 10" not in said:
                said = server.stdout.readline()
                assert said, server.returncode
    assert "registered workers: 2: " in hosts.run(name, only(lines, "serve --check"))
    blocks = "--blocks 2 --block-seconds 0.2 --warm-up-seconds 0.1 --consumer drain"
    bench = hosts.run(name, only(lines, "feedbench bench"), f"{SMALL} {blocks} --out bench")
    assert "tf_data_service" in bench
    training = hosts.run(
        name, only(lines, "feedbench train"), f"{TRAINING} --epochs 1 --out training"
    )
    assert "kB received" in training
    diagnosis = hosts.start(
        name, only(lines, "feedbench diagnose"), f"{SMALL} --seconds 1 --out diagnosis"
    )
    printed, _ = diagnosis.communicate(timeout=300)
    assert diagnosis.returncode in (0, 1), printed  # 1: no verdict, on a busy machine
    assert "Service workers" in printed or "service workers" in printed
