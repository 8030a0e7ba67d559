"""The loader with known delays gives every row, takes at least its delays, and can be closed."""

import threading
from time import perf_counter

import numpy as np
import pytest

from feedbench.bench.trials.internal_loaders import DELAY, INTERNAL_LOADERS, is_choice, register
from feedbench.loaders import LOADERS, BatchSpec, Manifest, Order, Request, parse_settings, scan


@pytest.fixture(scope="module")
def manifest(tiny_photos) -> Manifest:
    return scan(tiny_photos).only("train")


def open_delay(manifest: Manifest, epochs: int | None = 1, **settings):
    spec = BatchSpec(batch_size=8, image_size=16)
    request = Request(manifest, spec, Order(len(manifest), 8, epochs=epochs))
    return DELAY.open(request, parse_settings(DELAY, settings))


def test_one_worker_gives_every_row_in_order(manifest):
    with open_delay(manifest) as stream:
        rows = np.concatenate([batch.rows for batch in stream])
    assert np.array_equal(rows, Order(len(manifest), 8).rows(0, len(manifest)))


@pytest.mark.parametrize("part", ["read_s", "decode_s", "locked_s", "copy_s"])
def test_a_batch_takes_at_least_the_delay_of_each_part(manifest, part):
    with open_delay(manifest, **{part: 0.005}) as stream:
        begin = perf_counter()
        images = len(next(stream).labels)
        assert perf_counter() - begin >= images * 0.005


def test_several_workers_give_full_batches_and_end_when_closed(manifest):
    before = set(threading.enumerate())
    with open_delay(manifest, epochs=None, workers=3) as stream:
        batches = [next(stream) for _ in range(12)]
    assert all(len(batch.rows) == 8 for batch in batches)
    assert set(threading.enumerate()) <= before


def test_internal_loaders_cannot_be_chosen_and_unknown_names_can():
    assert not any(map(is_choice, INTERNAL_LOADERS))
    assert is_choice("tf_data")
    assert is_choice("a name of an old record")


def test_registered_loaders_are_found_by_name(monkeypatch):
    monkeypatch.setattr(
        "feedbench.bench.trials.internal_loaders.LOADERS", registry := dict(LOADERS)
    )
    register()
    assert registry.items() >= INTERNAL_LOADERS.items()
