"""Of very many files a stated sample is brought into a cache state, in pieces."""

import numpy as np
import pytest
from rich.console import Console

from feedbench.bench.commands.options import drawn_rows
from feedbench.bench.trials import cache_state
from feedbench.bench.trials.cache_state import Files
from feedbench.bench.trials.sample import NOT_DRAWN, sample_of
from feedbench.loaders import Manifest, scan


@pytest.fixture
def photos(class_folder) -> Manifest:
    return scan(class_folder, validation=0, test=0)


def test_the_rows_that_are_not_drawn_are_said_and_recorded(photos, capsys):
    sample, left_out = drawn_rows(photos, {"empty": 1}, 20, Console(width=200), warm=True)
    assert len(sample) == 20
    assert left_out == {"empty": 1, NOT_DRAWN: 25}
    assert "Measured: 20 of 45 images, drawn at random" in capsys.readouterr().out


@pytest.mark.parametrize("images", [None, 45, 100])
def test_all_rows_are_measured_if_there_are_no_more(photos, images, capsys):
    assert drawn_rows(photos, {}, images, Console(), warm=False) == (photos, {})
    assert not capsys.readouterr().out


def test_a_sample_is_the_same_each_time_and_in_the_order_of_the_rows(photos):
    names = [photos.name(row) for row in range(len(photos))]
    one, other = ([*map(sample_of(photos, 9).name, range(9))] for _ in range(2))
    assert one == other == sorted(one, key=names.index)


def test_files_are_evicted_and_read_with_few_paths_at_once(photos, monkeypatch):
    counts, paths = [], Manifest.paths

    def counted(self, rows):
        counts.append(len(rows))
        return paths(self, rows)

    monkeypatch.setattr(Manifest, "paths", counted)
    monkeypatch.setattr(cache_state, "_CHUNK_ROWS", 20)
    files = Files(photos)
    for act in (files.evict, files.warm, files.folders):
        counts.clear()
        act()
        assert counts == [20, 20, 5]


def test_the_mean_size_of_very_many_files_is_that_of_a_sample(photos, monkeypatch):
    looked, sizes = [], cache_state.file_sizes

    def counted(manifest, rows):
        looked.append(len(rows))
        return sizes(manifest, rows)

    monkeypatch.setattr(cache_state, "file_sizes", counted)
    monkeypatch.setattr(cache_state, "_MEAN_FILES", 10)
    files = Files(photos)
    mean = files.size(np.arange(45)) / 45
    files, looked[:] = Files(photos), []
    assert files.expected_size(1000) == pytest.approx(1000 * mean, rel=0.5)
    assert looked == [10]
