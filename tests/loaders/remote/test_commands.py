"""Commands on objects: what is cold, what an outage ends, and that no secret is written."""

import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.beyond, pytest.mark.timeout(300)]
ROOT = Path(__file__).parents[3]
SMALL = ["--image-size", "32", "--batch-size", "8", "--blocks", "3", "--block-seconds", "0.3"]
# The command, with a short warm-up.
PROGRAM = "from feedbench.bench.cli import main; main()"


def feedbench(environment, *arguments):
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def blocks_of(out):
    trials = [json.loads(line) for line in (out / "trials.jsonl").read_text().splitlines()]
    return [block for trial in trials for block in trial["blocks"]]


def test_few_objects_are_cold_in_every_block_however_far_a_loader_reads_ahead(
    splits_folder, upload, environment, tmp_path
):
    source, out = upload(splits_folder), tmp_path / "out"
    options = ["--loader", "turbo", "--set", "turbo.prefetch=4", "--consumer", "drain"]
    done = feedbench(
        environment, "bench", source, *options, *SMALL, "--cache-state", "cold", "--out", out
    )
    assert done.returncode == 0, done.stderr
    for block in blocks_of(out):
        assert block["fetched_bytes"] >= 0.5 * block["consumed_bytes"]  # more, what is read ahead
    assert "not cold" not in (out / "summary.json").read_text()
    cached = [path for path in Path(environment["FEEDBENCH_CACHE"]).rglob("*") if path.is_file()]
    assert len(cached) >= 45  # as after a first epoch


def test_the_commands_of_the_page_run_as_they_stand(splits_folder, client, environment, tmp_path):
    client.create_bucket(Bucket="my-bucket")
    for path in splits_folder.rglob("*.jpg"):
        key = f"photos/{path.relative_to(splits_folder)}"
        client.put_object(Bucket="my-bucket", Key=key, Body=path.read_bytes())
    page = (ROOT / "docs" / "object-storage.md").read_text()
    scan, bench = re.findall(r"^feedbench ((?:scan|bench) s3://.*)$", page, re.MULTILINE)
    assert feedbench(environment, *scan.split()).returncode == 0
    less = ["--loader", "turbo", "--consumer", "drain", *SMALL, "--out", tmp_path / "out"]
    done = feedbench(environment, *bench.split(), *less)
    assert done.returncode == 0, done.stderr
    assert all(block["fetched_bytes"] for block in blocks_of(tmp_path / "out"))


def test_limits_say_where_the_files_lie(splits_folder, upload, environment, tmp_path):
    out = tmp_path / "out"
    options = ["--loader", "turbo", *SMALL[:4], "--blocks", "1", "--block-seconds", "0.2"]
    done = feedbench(environment, "limits", upload(splits_folder), *options, "--out", out)
    assert done.returncode == 0, done.stderr
    names = [limit["name"] for limit in json.loads((out / "limits.json").read_text())["limits"]]
    assert "object storage, cold, 1 at once" in names
    assert not [name for name in names if name.startswith("disk")]


@pytest.mark.parametrize("fault", ["is_down", "denies"])
def test_an_outage_ends_a_scan_with_one_line(fault, splits_folder, upload, environment, proxy):
    source = upload(splits_folder)
    first = threading.Thread(target=_disturb_after_the_listing, args=(proxy, fault), daemon=True)
    first.start()
    begin = time.monotonic()
    done = feedbench({**environment, "FEEDBENCH_OBJECT_CACHE_GB": "0"}, "scan", source)
    assert time.monotonic() - begin < 120
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert "objects could not be fetched: " in line
    assert line.endswith("what was read before is saved: repeat the command to resume")
    assert "Traceback" not in done.stderr
    proxy.calmed()
    assert feedbench(environment, "scan", source).returncode == 0


def _disturb_after_the_listing(proxy, fault):
    while not any(".jpg" in request for request in proxy.requests):
        time.sleep(0.01)
    setattr(proxy, fault, True)


def test_no_record_and_no_log_has_a_credential(
    splits_folder, upload, environment, tmp_path, monkeypatch, proxy
):
    source, out = upload(splits_folder), tmp_path / "out"
    options = ["--loader", "turbo", "--loader", "tf_data", "--consumer", "drain", "--out", out]
    said = [feedbench(environment, "scan", source)]
    said.append(feedbench(environment, "bench", source, *options, *SMALL))
    training, run = tmp_path / "training", ["--epochs", "1", "--alpha", "0.35", *SMALL[:4]]
    said.append(feedbench(environment, "train", source, *run, "--out", training))
    said.append(feedbench(environment, "report", training, "--out", tmp_path / "report.html"))
    limits = ["--loader", "turbo", *SMALL, "--out", tmp_path / "limits"]
    said.append(feedbench(environment, "limits", source, *limits))
    assert [one.returncode for one in said] == [0] * len(said), said
    proxy.denies = True
    said.append(feedbench(environment, "bench", source, *options[:-1], tmp_path / "denied"))
    texts = [one.stdout + one.stderr for one in said]
    folders = (tmp_path, Path(environment["FEEDBENCH_CACHE"]))
    written = {path for folder in folders for path in folder.rglob("*") if path.is_file()}
    assert len(written) > 10
    for secret in (environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]):
        assert not [text for text in texts if secret in text]
        assert not [path for path in written if secret.encode() in path.read_bytes()]
