"""The folder of a monitored `fit` is never that of another one."""

from datetime import datetime
from types import SimpleNamespace

import pytest

from feedbench.bench import files
from feedbench.bench.errors import RecordError
from feedbench.bench.monitor.record import record_folder


def test_fits_of_the_same_second_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(files, "datetime", SimpleNamespace(now=lambda: datetime(2026, 1, 2)))
    made = [record_folder(None).as_posix() for _ in range(2)]
    name = "results/fit-20260102-000000"
    assert made == [name, f"{name}-2"]


def test_a_script_that_runs_again_keeps_the_record_of_its_first_run(tmp_path):
    out = tmp_path / "fit"
    for expected in ("fit", "fit-2", "fit-3"):
        folder = record_folder(out)
        (folder / "fit.json").touch()
        assert folder.name == expected


def test_an_empty_folder_is_used_as_it_is(tmp_path):
    assert record_folder(tmp_path) == tmp_path


def test_a_folder_that_cannot_be_made_names_the_argument(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match="File exists; name another folder by FitMonitor"):
        record_folder(tmp_path / "file" / "fit")
