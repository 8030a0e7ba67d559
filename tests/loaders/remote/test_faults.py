"""What goes wrong with an object storage: one line or the right images, never a hang."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import ExitStack, contextmanager, suppress

import numpy as np
import pytest

from feedbench.loaders import BatchSpec, ImageError, open_loader, scan
from feedbench.loaders.errors import SourceError
from feedbench.loaders.remote import calls
from feedbench.loaders.remote.cache import ObjectCache
from feedbench.loaders.remote.path import RemotePath

pytestmark = [pytest.mark.beyond, pytest.mark.timeout(120)]
SPEC = BatchSpec(batch_size=5, image_size=32)


@pytest.fixture
def source(splits_folder, upload, environment):
    return upload(splits_folder)


def rows(manifest, name="turbo", **how):
    with open_loader(name, manifest, SPEC, epochs=1, **how) as stream:
        return sorted(row for batch in stream for row in batch.rows.tolist()), stream.dropped


def bucket_and_key(manifest, row):
    return manifest.path(row).removeprefix("s3://").split("/", 1)


def test_a_bucket_without_permission_is_one_line(source, proxy):
    proxy.denies = True
    with pytest.raises(SourceError, match=r"cannot be listed: access denied; these credentials"):
        scan(source)


def test_no_credentials_is_one_line(source, monkeypatch, tmp_path):
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    with pytest.raises(SourceError, match=r"no credentials were found; set AWS_PROFILE"):
        scan(source)


@pytest.mark.parametrize("name", ["turbo", "tf_data", "keras_pil"])
def test_a_key_that_is_gone_in_mid_epoch_is_named_or_dropped(name, source, client):
    manifest = scan(source).only("train")
    bucket, key = bucket_and_key(manifest, 7)
    client.delete_object(Bucket=bucket, Key=key)
    with pytest.raises(ImageError, match=r": row 7: the system cannot read it|row 7: Pillow"):
        rows(manifest, name)
    seen, dropped = rows(manifest, name, on_error="skip", error_budget=0.1)
    assert [error.row for error in dropped] == [7]
    assert 7 not in seen
    assert len(seen) == len(manifest)


def test_a_replaced_object_is_named(source, client):
    manifest = scan(source).only("train")
    bucket, key = bucket_and_key(manifest, 3)
    client.put_object(Bucket=bucket, Key=key, Body=b"other bytes")
    with pytest.raises(ImageError, match=r"row 3: .* replaced after it was listed"):
        rows(manifest)


def test_a_server_that_gives_whatever_version_is_there_is_noticed(source, client, proxy):
    manifest = scan(source).only("train")
    bucket, key = bucket_and_key(manifest, 3)
    same_size = client.get_object(Bucket=bucket, Key=key)["Body"].read()[::-1]
    client.put_object(Bucket=bucket, Key=key, Body=same_size)
    proxy.hides = "If-Match"
    with pytest.raises(ImageError, match=r"row 3: .* replaced after it was listed"):
        rows(manifest)


def test_a_server_that_sends_whole_objects_only_is_one_line(source, proxy):
    path = RemotePath(scan(source).path(0))
    store, bucket, key = path.place
    assert len(store.read(bucket, key, path.version, (10, 100))) == 100
    proxy.hides = "Range"
    with pytest.raises(OSError, match="does not send ranges of bytes"):
        store.read(bucket, key, path.version, (10, 100))


def test_a_cut_connection_is_tried_again(source, proxy):
    manifest = scan(source).only("train")
    proxy.cuts = 4
    seen, dropped = rows(manifest)
    assert seen == list(range(len(manifest)))
    assert not dropped
    assert not proxy.cuts


def test_connections_that_are_always_cut_are_one_line(source, proxy, monkeypatch):
    monkeypatch.setattr(calls, "_FIRST_WAIT_S", 0.01)
    manifest = scan(source).only("train")
    proxy.cuts = 10_000
    with pytest.raises(ImageError, match=r"the connection was cut 5 times in a row"):
        rows(manifest)


def test_a_part_that_stalls_is_tried_again(source, proxy, monkeypatch):
    manifest = scan(source).only("train")
    monkeypatch.setattr("feedbench.loaders.remote.store._stores", {})
    monkeypatch.setattr("feedbench.loaders.remote.s3.READ_TIMEOUT_S", 1)
    proxy.stalls = 2
    seen, _ = rows(manifest)
    assert seen == list(range(len(manifest)))
    assert not proxy.stalls


def test_a_part_that_trickles_is_tried_again(source, proxy, monkeypatch):
    manifest = scan(source).only("train")
    monkeypatch.setattr(calls, "READ_TIMEOUT_S", 1)
    proxy.trickles = 3
    assert rows(manifest)[0] == list(range(len(manifest)))
    assert not proxy.trickles


def test_a_listing_that_is_cut_is_tried_again(source, proxy):
    proxy.cuts = 2
    assert len(scan(source)) == 57
    assert not proxy.cuts


def test_a_listing_that_trickles_is_one_line(source, proxy, monkeypatch):
    monkeypatch.setattr("feedbench.loaders.remote.calls.READ_TIMEOUT_S", 1)
    monkeypatch.setattr("feedbench.loaders.remote.s3.PAGE_BYTES", 0)
    proxy.trickles = 10_000
    with pytest.raises(SourceError, match=r"cannot be listed: the server was silent .* or slower"):
        scan(source)


def test_a_server_that_is_back_within_the_attempts_costs_only_time(source, proxy):
    manifest = scan(source).only("train")
    proxy.is_down = True
    threading.Timer(1.5, lambda: setattr(proxy, "is_down", False)).start()
    assert rows(manifest)[0] == list(range(len(manifest)))


def test_a_server_that_stays_away_is_one_line(source, proxy, monkeypatch):
    monkeypatch.setattr("feedbench.loaders.remote.s3.ATTEMPTS", 2)
    manifest = scan(source).only("train")
    proxy.is_down = True
    begin = time.monotonic()
    with pytest.raises(ImageError, match=r"the server cannot be reached"):
        rows(manifest)
    assert time.monotonic() - begin < 60


@pytest.mark.parametrize(
    ("endpoint", "reason"),
    [
        ("http://127.0.0.1:1/hidden", "the server cannot be reached, after 1 attempts"),
        ("127.0.0.1:1/hidden", "the endpoint is no URL; set AWS_ENDPOINT_URL"),
        ("http://user:hidden@{}", "the endpoint must not hold credentials; set AWS_PROFILE"),
        ("https://{}/hidden", "the server speaks no https, or its certificate"),
        ("http://{full}/hidden", "the server cannot be reached, after 1 attempts"),
    ],
)
def test_a_wrong_endpoint_is_one_line_that_does_not_show_it(
    environment, s3_server, monkeypatch, endpoint, reason
):
    for module in ("s3", "calls"):
        monkeypatch.setattr(f"feedbench.loaders.remote.{module}.ATTEMPTS", 1)
    monkeypatch.setattr("feedbench.loaders.remote.s3.CONNECT_TIMEOUT_S", 1)
    with full_queue() as port:
        address = endpoint.format(f"127.0.0.1:{s3_server.port}", full=f"127.0.0.1:{port}")
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        with pytest.raises(SourceError, match=f"cannot be listed: {reason}") as error:
            scan("s3://photos/x")
    assert "hidden" not in str(error.value)


@contextmanager
def full_queue():
    """The port of a server that takes no more connections, as behind a firewall."""
    with socket.socket() as server, ExitStack() as clients:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        for _ in range(4):
            client = clients.enter_context(socket.socket())
            client.setblocking(False)
            with suppress(BlockingIOError):
                client.connect(server.getsockname())
        yield server.getsockname()[1]


def test_closing_does_not_wait_for_a_silent_server(source, proxy):
    manifest = scan(source).only("train")
    proxy.delay_s = 30.0
    stream = open_loader("turbo", manifest, SPEC, epochs=1)

    def pull():
        with suppress(Exception):
            next(stream)

    pulling = threading.Thread(target=pull, daemon=True)
    pulling.start()
    time.sleep(0.5)
    begin = time.monotonic()
    stream.release()
    assert time.monotonic() - begin < 25  # before the server would have answered


def test_a_full_cache_folder_costs_only_the_cache(source, monkeypatch, tmp_path):
    monkeypatch.setattr(ObjectCache, "_make_room", _no_space)
    manifest = scan(source).only("train")
    assert rows(manifest)[0] == list(range(len(manifest)))


def _no_space(self, size):
    raise OSError(28, "No space left on device")


READ = """
import sys
from feedbench.loaders import BatchSpec, open_loader, scan
spec = BatchSpec(batch_size=5, image_size=32)
with open_loader("turbo", scan(sys.argv[1]).only("train"), spec) as stream:
    for batch in stream:
        print(len(batch.rows), flush=True)
"""


def test_a_kill_while_the_cache_is_written_leaves_no_wrong_entry(
    source, environment, splits_folder
):
    for delay in (0.0, 0.002, 0.004, 0.01):
        reader = subprocess.Popen(
            [sys.executable, "-c", READ, source], stdout=subprocess.PIPE, env=environment
        )
        reader.stdout.readline()
        time.sleep(delay)
        os.kill(reader.pid, signal.SIGKILL)
        reader.wait()
        reader.stdout.close()
    images = []
    for data in (source, splits_folder):
        with open_loader("turbo", scan(data).only("train"), SPEC, epochs=1) as stream:
            images.append(np.concatenate([batch.images for batch in stream]))
    np.testing.assert_array_equal(*images)
