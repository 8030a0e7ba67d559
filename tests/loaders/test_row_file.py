"""Images in a file without a name come back as they were written."""

import os

import numpy as np
import pytest

from feedbench.loaders import SettingsError, row_file
from feedbench.loaders.row_file import RowFile


def test_rows_come_back_in_any_order(tmp_path):
    kept = RowFile(10, 4, tmp_path)
    images = np.random.default_rng(0).integers(0, 256, (10, 4, 4, 3), np.uint8)
    kept.put(np.arange(9, -1, -1), images[::-1])
    rows = np.array([3, 9, 0, 3])
    assert np.array_equal(kept.take(rows), images[rows])
    kept.close()


def test_a_batch_is_not_overwritten_while_anything_refers_to_it(tmp_path):
    kept = RowFile(4, 4, tmp_path)
    kept.put(
        np.arange(4),
        np.arange(4, dtype=np.uint8)[:, None, None, None] + np.zeros((4, 4, 4, 3), np.uint8),
    )
    part = kept.take(np.array([1, 2]))[1:]
    for _ in range(20):
        kept.take(np.array([3, 0]))
    assert (part == 2).all()
    kept.close()


def test_a_disk_without_the_space_is_refused_and_left_as_it_was(tmp_path, monkeypatch):
    def fails(*_):
        raise OSError(28, "No space left on device")

    before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(row_file.os, "posix_fallocate", fails)
    with pytest.raises(SettingsError, match="No space left on device; choose another"):
        RowFile(10, 4, tmp_path)
    assert len(os.listdir("/proc/self/fd")) == len(before)
    assert not list(tmp_path.iterdir())


def test_the_message_has_readable_sizes(tmp_path):
    with pytest.raises(SettingsError, match=r"needs 30,000,000\.00 GB, .* has \d.* left; choose"):
        RowFile(10**10, 1_000, tmp_path)
