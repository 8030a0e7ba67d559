"""A file is either complete or unchanged, however the process that writes it ends."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from pydantic import BaseModel

from feedbench.bench import files
from feedbench.bench.errors import RecordError
from feedbench.bench.files import (
    dated_folder,
    new_folder,
    read_model,
    write_json,
    write_model,
    write_result,
    write_text,
)

FULL = """
import resource, sys
from pathlib import Path
from feedbench.bench.files import write_text
resource.setrlimit(resource.RLIMIT_FSIZE, (10, 10))  # the system refuses the eleventh byte
write_text(Path(sys.argv[1]), "more than ten bytes")
"""


class Pair(BaseModel):
    schema_number: int = 2
    first: int
    second: tuple[int, ...]


def test_a_full_disk_leaves_the_old_file_and_is_one_line(tmp_path):
    path = tmp_path / "record.json"
    path.write_text("old")
    command = [sys.executable, "-c", FULL, str(path)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    said = done.stderr.splitlines()[-1]
    assert said.endswith(f"{path}: File too large; name another file or another folder")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_write_permission_is_one_line(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(RecordError, match=r"Permission denied; name another file"):
        write_text(tmp_path / "record.json", "text")


def test_a_folder_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(RecordError, match=r"Not a directory; name another file"):
        write_json(tmp_path / "file" / "record.json", {})


def test_a_model_reads_back_as_it_was_written(tmp_path):
    path, pair = tmp_path / "pair.json", Pair(first=1, second=(2, 3))
    write_model(path, pair)
    assert read_model(path, Pair, "bench", newest=2) == pair


def test_a_result_says_when_it_was_made_and_reads_back_without_that(tmp_path):
    path, pair = tmp_path / "pair.json", Pair(first=1, second=(2, 3))
    write_result(path, pair.model_dump())
    age = datetime.now(UTC) - datetime.fromisoformat(json.loads(path.read_text())["created"])
    assert timedelta(0) <= age < timedelta(hours=1)
    assert read_model(path, Pair, "bench", newest=2) == pair


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "No such file or directory; give the folder of a bench"),
        ("{", "not the record of a bench: "),
        ("[1]", "not the record of a bench: "),
        ('{"first": 1, "second": 3}', "second: "),
        ('{"schema_number": 3}', "schema 3 is newer than 2; upgrade feedbench"),
        ('{"schema_number": 2, "first": Infinity, "second": []}', "Infinity is no number"),
    ],
)
def test_a_file_that_cannot_be_read_is_an_error_of_one_line(tmp_path, text, said):
    path: Path = tmp_path / "pair.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(RecordError, match=said) as raised:
        read_model(path, Pair, "bench", newest=2)
    assert str(raised.value).startswith(f"{path}: ")
    assert "\n" not in str(raised.value)


def test_a_result_folder_is_never_overwritten(tmp_path):
    (tmp_path / "mine").write_text("precious")
    with pytest.raises(RecordError, match="not empty"):
        new_folder(tmp_path)
    assert new_folder(tmp_path / "a" / "b").is_dir()


def test_runs_that_begin_in_the_same_second_get_folders_of_their_own(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "datetime", SimpleNamespace(now=lambda: datetime(2026, 1, 2)))
    made = [dated_folder(tmp_path / "results", "bench") for _ in range(3)]
    name = "bench-20260102-000000"
    assert [folder.name for folder in made] == [name, f"{name}-2", f"{name}-3"]
    assert all(folder.is_dir() for folder in made)


def test_a_file_in_the_place_of_the_results_is_an_error_of_one_line(tmp_path):
    (tmp_path / "results").touch()
    with pytest.raises(RecordError, match="results: File exists; name another folder with --out"):
        dated_folder(tmp_path / "results", "bench")
