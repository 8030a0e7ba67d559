"""Shards in object storage give the images of the files, and only the bytes that are needed."""

import os
import shutil

import numpy as np
import pytest
from written_sources import named_images, write_sources

from feedbench.loaders import BatchSpec, fetched_bytes, open_loader, read_file, scan
from feedbench.loaders.remote.fetched import count

pytestmark = [pytest.mark.beyond, pytest.mark.timeout(300)]
SPEC = BatchSpec(batch_size=8, image_size=24, seed=5)
FORMS = ("zip", "deflated", "tar", "folders", "tfrecord", "arrow", "ipc", "parquet", "plain")


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    return write_sources(named_images(), tmp_path_factory.mktemp("shards"))


@pytest.fixture
def uploaded(sources, upload, environment, tmp_path):
    """Writes a source into a bucket, and returns the addresses of its folder and of itself."""

    def write(form):
        path = sources[form]
        if path.is_dir():
            return upload(path)
        shutil.copy(path, tmp_path)
        return f"{upload(tmp_path)}/{path.name}"

    return write


def whole(source):
    return scan(source, validation=0, test=0)


def network_bytes():
    count(0)
    return fetched_bytes(os.getpid())


def delivered(source, name):
    with open_loader(name, whole(source), SPEC, epochs=1) as stream:
        batches = [(np.array(batch.images), batch.labels, batch.rows) for batch in stream]
    return [np.concatenate(column) for column in zip(*batches, strict=True)]


@pytest.mark.parametrize("form", FORMS)
def test_each_image_is_read_by_its_range_alone(form, sources, uploaded):
    remote, local = whole(uploaded(form)), whole(sources[form])
    assert remote.is_remote
    assert remote.in_shards
    assert remote.classes == local.classes
    assert remote.table.drop_columns("version") == local.table.drop_columns("version")
    before, data = network_bytes(), [read_file(path) for path in remote.paths(np.arange(45))]
    assert data == [image for _, _, image in named_images()]
    if form in ("zip", "tar", "tfrecord", "plain"):  # not compressed
        assert network_bytes() - before == sum(map(len, data))


@pytest.mark.parametrize(
    ("name", "form"),
    [("turbo", "tar"), ("keras_pil", "tfrecord"), ("tf_data", "parquet"), ("tf_data", "tar")],
)
def test_loaders_give_the_batches_of_the_files(name, form, sources, uploaded):
    for one, other in zip(
        delivered(uploaded(form), name), delivered(sources[form], name), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_a_pattern_names_some_of_the_shards(uploaded):
    source = uploaded("tar")
    assert len(whole(f"{source}/photos-00000[01].tar")) == 30


def test_a_listing_is_kept_until_the_shard_is_replaced(uploaded, client, sources):
    source = uploaded("tar")
    first = whole(source)
    before = network_bytes()
    assert whole(source).table == first.table
    assert network_bytes() - before < 1_000  # classes.txt
    bucket, key = source.removeprefix("s3://").split("/", 1)
    other = (sources["tar"] / "photos-000001.tar").read_bytes()
    client.put_object(Bucket=bucket, Key=f"{key}/photos-000000.tar", Body=other)
    with pytest.raises(OSError, match="was replaced after it was listed"):
        [read_file(path) for path in first.paths(np.arange(45))]
    assert whole(source).table != first.table


def test_a_shard_that_is_cut_while_it_is_listed_is_asked_for_again(uploaded, proxy):
    source = uploaded("tar")
    proxy.cuts = 2
    assert len(whole(source)) == 45
    assert not proxy.cuts
