"""Rows of arrays keep their bytes, wherever they lie among the pieces of a new file."""

import os
import time
from threading import Thread

import numpy as np
import pytest

from feedbench.loaders import BatchSpec
from feedbench.loaders.pack import array_shards
from feedbench.loaders.pack.about import About, fields_of
from feedbench.loaders.pack.array_shards import ArrayShards

ROWS, SIDE = 60, 20
PIECE = 700  # bytes: smaller than a row of 1,200, and no divisor of it
random = np.random.default_rng(0)
IMAGES = random.integers(1, 256, (ROWS, SIDE, SIDE, 3), np.uint8)


@pytest.fixture(params=[PIECE, 5000])
def shards(request, monkeypatch, tmp_path):
    """A function: the shards of one folder, opened. A shard has 25 rows."""
    monkeypatch.setattr(array_shards, "_PIECE", request.param)
    monkeypatch.setattr(array_shards, "SHARD_BYTES", 25 * IMAGES[0].nbytes)
    fields = fields_of(BatchSpec(image_size=SIDE), "arrays")
    about = About(kind="arrays", fields=fields, root="", rows="", images=ROWS)

    def opened():
        found = ArrayShards(tmp_path, about)
        found.open()
        return found

    return opened


def written(shards, rows):
    return {row: shards.write(row, IMAGES[row], 0) for row in rows}


def held(shards, places):
    """The rows whose bytes are those that were written."""
    image = np.empty_like(IMAGES[0])
    return [
        row
        for row, place in places.items()
        if shards.read(*place, image) and np.array_equal(image, IMAGES[row])
    ]


def test_rows_written_in_any_order_are_kept(shards):
    one = shards()
    places = written(one, random.permutation(ROWS).tolist())
    assert held(one, places) == list(places)
    one.close()


def test_rows_written_by_several_threads_are_kept(shards, monkeypatch):
    one, places = shards(), {}
    pwrite = os.pwrite  # of pieces; rows are written by pwritev

    def late(*arguments):
        time.sleep(0.001)
        return pwrite(*arguments)

    monkeypatch.setattr(os, "pwrite", late)
    threads = [
        Thread(target=lambda first=first: places.update(written(one, range(first, ROWS, 4))))
        for first in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(held(one, places)) == ROWS
    one.close()


def test_rows_of_an_earlier_process_are_kept(shards):
    first = shards()
    places = written(first, range(0, ROWS, 2))
    first.close()
    second = shards()
    places |= written(second, range(1, ROWS, 2))
    assert len(held(second, places)) == ROWS
    second.close()


def test_a_file_has_the_size_of_its_rows(shards, tmp_path):
    one = shards()
    written(one, range(ROWS))
    for name in one.finish():
        array = np.load(tmp_path / name)
        assert (tmp_path / name).stat().st_size == 128 + array.nbytes
    one.close()
