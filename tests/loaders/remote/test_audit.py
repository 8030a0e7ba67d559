"""A slow or failing storage is no fault of the images in it."""

import pytest

from feedbench.loaders import scan
from feedbench.loaders.audit import ProbeLimits, Store, audit

pytestmark = [pytest.mark.beyond, pytest.mark.timeout(120)]


@pytest.fixture
def source(splits_folder, upload, environment, monkeypatch):
    monkeypatch.setenv("FEEDBENCH_OBJECT_CACHE_GB", "0")
    return upload(splits_folder)


def reasons(source, limits=None):
    """How many files were read, and why those cannot be decoded that cannot."""
    counts = []
    manifest = audit(
        scan(source),
        Store.of(source),
        limits or ProbeLimits(),
        processes=1,
        start=lambda count: counts.append(count) or (lambda done: None),
    )
    return counts[0], set(manifest.table["pillow"].to_pylist()) - {None}


def test_fetching_does_not_count_against_the_time_limit_of_a_file(source, proxy):
    proxy.delay_s = 0.5
    assert reasons(source, ProbeLimits(seconds=0.4))[1] == set()


def test_what_the_storage_refused_is_read_again(source, proxy, monkeypatch):
    manifest = scan(source)
    proxy.denies = True
    monkeypatch.setattr(f"{__name__}.scan", lambda source: manifest)
    read, why = reasons(source)
    assert (read, len(why)) == (len(manifest), 1)
    assert "access denied" in why.pop()
    proxy.denies = False
    assert reasons(source) == (len(manifest), set())
    assert reasons(source) == (0, set())
