"""A service whose workers are on another host, behind a cable with a bandwidth and a delay."""

import json
import os
import subprocess
import sys
from contextlib import contextmanager

import numpy as np
import pytest
from namespaces import two_hosts

from feedbench.loaders import Order

pytestmark = [pytest.mark.beyond, pytest.mark.spawned, pytest.mark.timeout(300)]
CLI = [sys.executable, "-m", "feedbench.bench.cli"]
BATCHES = ["--image-size", "64", "--batch-size", "8"]
CARRIED = 1_000_000  # bytes per second of the slow network
ACCELERATOR = """
[slow]
device = "slow accelerator"
images_per_second = 300
batch_size = 8
image_size = 64
network = "MobileNetV2"
precision = "none"
source = "made up"
"""
# The rows of many batches; says when the first ones have come, and waits until it is told to go on.
TRAINER = """
import sys
from itertools import islice
from feedbench.loaders import BatchSpec, open_loader, scan
manifest = scan(sys.argv[1]).only("train")
spec = BatchSpec(batch_size=8, image_size=64)
with open_loader("tf_data_service", manifest, spec, {"service": sys.argv[2]}) as stream:
    rows = [batch.rows.tolist() for batch in islice(stream, 20)]
    print("fed", flush=True)
    sys.stdin.readline()
    rows += [batch.rows.tolist() for batch in islice(stream, 200)]
print(sum(rows, []))
"""


@contextmanager
def serving(hosts, host, *options):
    """A server on one of two hosts; gives its address."""
    command = [*hosts.on(host), *CLI, "serve", *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        started = [one for one in options if one in ("--dispatcher", "--worker")]
        address, *_ = [process.stdout.readline().split()[1] for _ in started]
        yield address.rstrip(",")
    finally:
        process.kill()
        process.communicate()


def run(hosts, command, photos, dispatcher, out, *options):
    """Run a command with a trainer on the first host; return what it printed."""
    (out.parent / "accelerators.toml").write_text(ACCELERATOR)
    words = [
        *(*hosts.on(0), *CLI, command, str(photos), *BATCHES, "--no-tensorboard"),
        *("--loader", "tf_data_service", "--set", f"tf_data_service.service={dispatcher}"),
        *("--set", "tf_data_service.compression=none", "--consumer", "emulated:slow"),
        *("--out", str(out), *options),
    ]
    environment = {**os.environ, "FEEDBENCH_CONFIG": str(out.parent)}
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=environment)
    # 1: a busy machine does not pass the self-test of a diagnosis.
    assert done.returncode in ((0, 1) if command == "diagnose" else (0,)), done.stdout + done.stderr
    return done.stdout


def test_a_slow_network_is_named_and_without_it_more_comes_than_it_carries(splits_folder, tmp_path):
    with two_hosts() as hosts:
        address = hosts.addresses[1]
        with (
            serving(hosts, 1, "--dispatcher", f"{address}:5050") as dispatcher,
            serving(hosts, 1, "--worker", f"{address}:5051", "--of", dispatcher),
        ):
            # Far below what the worker makes and the accelerator takes, however busy the machine.
            hosts.shape(f"{8 * CARRIED}bit")
            slow, fast = tmp_path / "slow", tmp_path / "fast"
            printed = run(hosts, "diagnose", splits_folder, dispatcher, slow, "--seconds", "1")
            hosts.unshape()
            short = ["--blocks", "3", "--block-seconds", "1", "--warm-up-seconds", "0.1"]
            run(hosts, "bench", splits_folder, dispatcher, fast, *short)
    diagnosis = json.loads((slow / "diagnosis.json").read_text("utf-8"))
    assert diagnosis["bottleneck"]["cause"] == "network"
    assert "No number of service workers keeps" in printed
    assert "kB per image received" in printed
    (trial,) = [
        one
        for one in json.loads((fast / "summary.json").read_text("utf-8"))["trials"]
        if one["loader"] == "tf_data_service"
    ]
    received = trial["received_bytes_per_image"]
    assert received > 0.8 * 64 * 64 * 3
    alone = {one["name"]: one["images_per_second"] for one in diagnosis["ceilings"]}
    predicted, gained = (
        diagnosis["bottleneck"]["rate_without"],
        trial["images_per_second"]["median"],
    )
    assert alone["network"]["median"] < predicted <= alone["consumer"]["median"] * 1.001
    assert gained > CARRIED / received  # images per second that the slow network carries at most


def test_the_cut_cable_of_one_worker_loses_no_row(splits_folder):
    trainer_script = [sys.executable, "-c", TRAINER, str(splits_folder)]
    with two_hosts() as hosts:
        near, far = (f"{address}:5051" for address in hosts.addresses)
        dispatcher = f"{hosts.addresses[0]}:5050"
        with (
            serving(hosts, 0, "--dispatcher", dispatcher, "--worker", near),
            serving(hosts, 1, "--worker", far, "--of", dispatcher),
        ):
            hosts.shape()
            trainer = subprocess.Popen(
                [*hosts.on(0), *trainer_script, dispatcher],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            assert trainer.stdout.readline() == "fed\n"
            hosts.cut()
            printed, _ = trainer.communicate("\n", timeout=120)
    rows = json.loads(printed)
    order = Order(len(set(rows)), 8)
    assert rows == order.rows(0, len(rows)).tolist()
    assert np.bincount(rows).min() > 0
