"""A slow or failing storage is no fault of the images in it."""

import pytest

from feedbench.loaders import scan
from feedbench.loaders.audit import ProbeLimits, Store, audit
from feedbench.loaders.errors import SourceError

pytestmark = [pytest.mark.beyond, pytest.mark.timeout(120)]


@pytest.fixture
def uploaded(upload, environment, monkeypatch):
    monkeypatch.setenv("FEEDBENCH_OBJECT_CACHE_GB", "0")
    return upload


@pytest.fixture
def source(splits_folder, uploaded):
    return uploaded(splits_folder)


def reasons(source, limits=None, listed=None):
    """How many files were read, and why those cannot be decoded that cannot."""
    counts = []
    manifest = audit(
        listed or scan(source),
        Store.of(source),
        limits or ProbeLimits(),
        processes=1,
        start=lambda count: counts.append(count) or (lambda done: None),
    )
    return counts[0], set(manifest.table["pillow"].to_pylist()) - {None}


def test_fetching_does_not_count_against_the_time_limit_of_a_file(splits_folder, uploaded, proxy):
    source = uploaded(splits_folder / "test")
    proxy.delay_s = 2.5
    assert reasons(source, ProbeLimits(seconds=2)) == (6, set())


def test_what_the_storage_refused_is_read_again(source, proxy):
    manifest = scan(source)
    proxy.denies = True
    with pytest.raises(SourceError, match=r"the last 16 objects could not be fetched: access"):
        reasons(source, listed=manifest)
    proxy.denies = False
    assert reasons(source) == (len(manifest), set())
    assert reasons(source) == (0, set())


def test_a_few_objects_that_are_refused_are_reported_and_read_again(source, client):
    manifest = scan(source)
    bucket, key = manifest.path(4).removeprefix("s3://").split("/", 1)
    data = client.get_object(Bucket=bucket, Key=key)["Body"].read()
    client.delete_object(Bucket=bucket, Key=key)
    assert reasons(source, listed=manifest) == (len(manifest), {"there is no such object"})
    client.put_object(Bucket=bucket, Key=key, Body=data)
    read, why = reasons(source)
    assert read >= 1
    assert not why
