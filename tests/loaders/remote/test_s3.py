"""Images in an S3 server on this machine are those of the files, whatever reads them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from feedbench.loaders import BatchSpec, fetched_bytes, open_loader, scan
from feedbench.loaders.errors import LoaderError, SourceError
from feedbench.loaders.remote.fetched import count
from feedbench.loaders.remote.s3 import S3

pytestmark = pytest.mark.beyond
SPEC = BatchSpec(batch_size=5, image_size=32)


def batches(source, name="turbo", **settings):
    with open_loader(name, scan(source).only("train"), SPEC, settings, epochs=1) as stream:
        return [(np.array(batch.images), batch.labels, batch.rows) for batch in stream]


def assert_same(one, other):
    assert len(one) == len(other)
    for first, second in zip(one, other, strict=True):
        for left, right in zip(first, second, strict=True):
            np.testing.assert_array_equal(left, right)


def network_bytes():
    import os

    count(0)
    return fetched_bytes(os.getpid())


@pytest.mark.parametrize("name", ["turbo", "keras_pil", "tf_data"])
def test_loaders_give_the_batches_of_the_files(name, splits_folder, upload, environment):
    source = upload(splits_folder)
    assert_same(batches(source, name), batches(splits_folder, name))


def test_the_manifest_is_that_of_the_folder(splits_folder, upload, environment):
    source = upload(splits_folder)
    remote, local = scan(source), scan(splits_folder)
    assert remote.table.select(["path", "label", "split"]) == local.table.select(
        ["path", "label", "split"]
    )
    assert str(remote.root) == source
    assert remote.path(0) == f"{source}/{local.name(0).decode()}"


def test_a_saved_manifest_reads_the_same_objects(splits_folder, upload, environment, tmp_path):
    manifest = scan(upload(splits_folder))
    manifest.write(tmp_path / "manifest.parquet")
    again = scan(tmp_path / "manifest.parquet")
    assert again.root == manifest.root
    assert again.is_remote
    assert again.address(0) == manifest.address(0)


def test_as_many_objects_are_read_at_once_as_the_setting_says(
    splits_folder, upload, environment, monkeypatch
):
    depth, read, lock, running, most = 4, S3.read, threading.Lock(), [], []
    meeting = threading.Barrier(depth, timeout=60)  # which fails unless so many are there at once

    def counted(*given, **options):
        with lock:
            running.append(given)
            most.append(len(running))
            is_early = len(most) <= depth
        if is_early:
            meeting.wait()
        try:
            return read(*given, **options)
        finally:
            with lock:
                running.pop()

    source = upload(splits_folder)
    monkeypatch.setattr(S3, "read", counted)
    batches(source, read_depth=depth)
    assert max(most) == depth


def test_a_second_epoch_comes_from_the_cache(splits_folder, upload, environment):
    source = upload(splits_folder)
    first = batches(source)
    before = network_bytes()
    assert_same(batches(source), first)
    assert network_bytes() == before


def test_without_a_cache_every_epoch_is_fetched(splits_folder, upload, environment, monkeypatch):
    monkeypatch.setenv("FEEDBENCH_OBJECT_CACHE_GB", "0")
    source = upload(splits_folder)
    before = network_bytes()
    batches(source)
    size = network_bytes() - before
    batches(source)
    assert network_bytes() - before == 2 * size


def test_a_replaced_object_is_never_served_from_the_cache(
    splits_folder, upload, environment, client
):
    source = upload(splits_folder)
    manifest = scan(source)
    batches(source)
    bucket, key = source.split("/")[2], manifest.path(0).split("/", 3)[3]
    other = (splits_folder / manifest.name(1).decode()).read_bytes()
    client.put_object(Bucket=bucket, Key=key, Body=other)
    changed = scan(source).only("train")
    with open_loader(
        "turbo", changed, SPEC.model_copy(update={"shuffle": False}), epochs=1
    ) as stream:
        batch = next(stream)
        np.testing.assert_array_equal(batch.images[0], batch.images[1])


def test_no_bucket_is_one_line(environment, s3_server):
    with pytest.raises(SourceError, match=r"^s3://no-such-bucket/x: cannot be listed: there is no"):
        scan("s3://no-such-bucket/x")


def test_an_empty_prefix_is_one_line(splits_folder, upload, environment):
    with pytest.raises(SourceError, match=r"/nothing: no object has this name or this") as error:
        scan(upload(splits_folder) + "/nothing")
    assert "CSV" not in str(error.value)  # which must be on a local disk


def test_pages_of_a_listing_are_joined(environment, client):
    bucket, images = f"many-{time.monotonic_ns()}", 1_001  # S3 lists 1,000 at a time
    client.create_bucket(Bucket=bucket)

    def put(number):
        client.put_object(Bucket=bucket, Key=f"cat/{number:05}.jpg", Body=b"x")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, range(images)))
    listed = []
    manifest = scan(f"s3://{bucket}", on_listed=listed.append)
    assert len(listed) > 1
    assert sum(listed) == images
    assert [manifest.name(row) for row in (0, images - 1)] == [b"cat/00000.jpg", b"cat/01000.jpg"]


def test_loaders_that_open_files_say_so(splits_folder, upload, environment):
    manifest = scan(upload(splits_folder))
    with pytest.raises(LoaderError, match=r"^keras_directory reads files on a disk, not s3://"):
        open_loader("keras_directory", manifest, SPEC)
