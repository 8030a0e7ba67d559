"""Images in a server of Google Cloud Storage's API are those of the files, and errors are lines."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from feedbench.loaders import BatchSpec, ImageError, open_loader, scan
from feedbench.loaders.errors import SourceError
from feedbench.loaders.remote import calls, gs

pytestmark = [pytest.mark.beyond, pytest.mark.timeout(120)]
SPEC = BatchSpec(batch_size=5, image_size=32)
TOKEN = "ya29.very-secret"


@pytest.fixture
def source(splits_folder, google, gcs_environment):
    return google.upload(splits_folder)


def delivered(manifest, name="turbo", **how):
    with open_loader(name, manifest, SPEC, epochs=1, **how) as stream:
        batches = [(np.array(batch.images), batch.labels, batch.rows) for batch in stream]
        return [np.concatenate(column) for column in zip(*batches, strict=True)], stream.dropped


def rows(manifest, **how):
    given, dropped = delivered(manifest, **how)
    return sorted(given[2].tolist()), dropped


def bucket_and_name(manifest, row):
    return manifest.path(row).removeprefix("gs://").split("/", 1)


@pytest.mark.parametrize("name", ["turbo", "keras_pil", "tf_data"])
def test_loaders_give_the_batches_of_the_files(name, splits_folder, source):
    given, _ = delivered(scan(source).only("train"), name)
    expected, _ = delivered(scan(splits_folder).only("train"), name)
    for one, other in zip(given, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_pages_of_a_listing_are_joined(splits_folder, source, monkeypatch, gcs_proxy):
    monkeypatch.setattr(gs, "_PAGE", 4)
    remote, local = scan(source), scan(splits_folder)
    columns = ["path", "label", "split"]
    assert remote.table.select(columns) == local.table.select(columns)
    assert sum("pageToken=" in request for request in gcs_proxy.requests) >= 9


def test_a_replaced_object_is_named(source, google):
    manifest = scan(source).only("train")
    google.put(*bucket_and_name(manifest, 3), b"other bytes")
    with pytest.raises(ImageError, match=r"row 3: .* replaced after it was listed"):
        rows(manifest)


def test_an_object_that_is_gone_is_named_or_dropped(source, google):
    manifest = scan(source).only("train")
    google.delete(*bucket_and_name(manifest, 7))
    with pytest.raises(ImageError, match=r"row 7: .* there is no such object"):
        rows(manifest)
    seen, dropped = rows(manifest, on_error="skip", error_budget=0.1)
    assert [error.row for error in dropped] == [7]
    assert 7 not in seen
    assert len(seen) == len(manifest)


@pytest.mark.parametrize("fault", ["cuts", "stalls", "trickles"])
def test_answers_that_do_not_end_are_asked_for_again(fault, source, gcs_proxy, monkeypatch):
    manifest = scan(source).only("train")
    monkeypatch.setattr("feedbench.loaders.remote.store._stores", {})
    monkeypatch.setattr(gs, "READ_TIMEOUT_S", 1)
    monkeypatch.setattr(calls, "READ_TIMEOUT_S", 1)
    setattr(gcs_proxy, fault, 3)
    seen, dropped = rows(manifest)
    assert seen == list(range(len(manifest)))
    assert not dropped
    assert not getattr(gcs_proxy, fault)


def test_answers_that_are_always_cut_are_one_line(source, gcs_proxy, monkeypatch):
    monkeypatch.setattr(calls, "_FIRST_WAIT_S", 0.01)
    manifest = scan(source).only("train")
    gcs_proxy.cuts = 10_000
    with pytest.raises(ImageError, match=r"the connection was cut 5 times in a row"):
        rows(manifest)


def test_an_error_that_passes_costs_only_time(source, google):
    google.ask("PUT", "/fail?status=503&times=3")
    manifest = scan(source).only("train")
    google.ask("PUT", "/fail?status=429&times=3")
    assert rows(manifest)[0] == list(range(len(manifest)))


def test_a_server_that_is_back_within_the_attempts_costs_only_time(source, gcs_proxy):
    manifest = scan(source).only("train")
    gcs_proxy.is_down = True
    threading.Timer(1.0, lambda: setattr(gcs_proxy, "is_down", False)).start()
    assert rows(manifest)[0] == list(range(len(manifest)))


def test_a_server_that_is_not_there_is_one_line(source, gcs_environment, monkeypatch):
    monkeypatch.setattr(calls, "_FIRST_WAIT_S", 0.01)
    monkeypatch.setattr("feedbench.loaders.remote.store._stores", {})
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", "http://127.0.0.1:9")
    begin = time.monotonic()
    with pytest.raises(SourceError, match=r"cannot be listed: the server cannot be reached") as one:
        scan(source)
    assert "127.0.0.1" not in str(one.value)
    assert time.monotonic() - begin < 60


def test_a_bucket_that_is_not_there_is_one_line(gcs_environment):
    with pytest.raises(SourceError, match=r"^gs://none-such/x: cannot be listed: there is no such"):
        scan("gs://none-such/x")


def test_a_bucket_that_may_not_be_read_is_one_line(google, gcs_environment, monkeypatch):
    import fsspec.config

    closed, other = google.bucket(token="other"), google.bucket(token=TOKEN)
    with pytest.raises(SourceError, match=r"refuses the credentials; run gcloud auth"):
        scan(f"gs://{closed}")
    monkeypatch.setenv("FETCH_RAW_TOKEN_EXPIRY", "false")
    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": TOKEN})
    monkeypatch.setattr("feedbench.loaders.remote.store._stores", {})
    with pytest.raises(SourceError, match=r"access denied; these credentials may not") as caught:
        scan(f"gs://{closed}")
    assert TOKEN not in str(caught.value)
    with pytest.raises(
        SourceError, match=r"no object has this name or this"
    ):  # readable, but empty
        scan(f"gs://{other}/data")


def test_a_token_that_cannot_be_used_is_one_line(google, gcs_environment, monkeypatch, tmp_path):
    import fsspec.config

    (tmp_path / "token.json").write_text('{"private_key": "very-secret"}')
    monkeypatch.setitem(fsspec.config.conf, "gs", {"token": str(tmp_path / "token.json")})
    with pytest.raises(SourceError, match=r"no valid credentials were found; run gcloud") as caught:
        scan(f"gs://{google.bucket()}")
    assert "very-secret" not in str(caught.value)


def test_no_record_and_no_log_has_the_token(google, gcs_environment, splits_folder, tmp_path):
    source = google.upload(splits_folder, token=TOKEN)
    given = {"FSSPEC_GS_TOKEN": TOKEN, "FETCH_RAW_TOKEN_EXPIRY": "false"}
    small = ["--image-size", "32", "--batch-size", "8", "--blocks", "1", "--block-seconds", "0.1"]
    loader = ["--loader", "turbo", "--consumer", "drain", "--out", str(tmp_path / "out")]
    for words in (["scan", source], ["bench", source, *loader, *small]):
        done = subprocess.run(
            [sys.executable, "-m", "feedbench.bench.cli", *words],
            capture_output=True,
            text=True,
            check=False,
            env={**gcs_environment, **given},
        )
        assert done.returncode == 0, done.stderr
        assert TOKEN not in done.stdout + done.stderr
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) > 10  # the local cache, too
    assert not [path for path in written if TOKEN.encode() in path.read_bytes()]
