"""Budgets that were kept, exceeded or left unused, from the records of searches."""

import json

import pytest


@pytest.fixture
def keep(script):
    return script("tune-budget/keep.py")


@pytest.mark.parametrize(
    ("took", "finished", "kept"),
    [
        (60, False, True),
        (72.0, False, True),
        (72.1, False, False),
        (30, False, False),
        (30, True, True),
    ],
)
def test_a_budget_is_kept_within_20_percent_or_nothing_is_left_to_try(keep, took, finished, kept):
    assert keep.Search("drain", 60, 55, took, finished, 3, "turbo").kept is kept


def test_a_search_is_read_from_its_folder_and_not_repeated(keep, tmp_path):
    record = {
        "finished": False,
        "seconds": 61.5,
        "findings": [{}, {}],
        "best": {"loader": "turbo", "settings": {"cache": "decoded"}},
    }
    (tmp_path / "tune.json").write_text(json.dumps(record))
    (tmp_path / "seconds.json").write_text("66.0")
    keep.run(["no", "such", "command"], tmp_path)
    found = keep.read(tmp_path, "drain", "1m")
    assert (found.budget_s, found.ratio, found.findings) == (60, 1.1, 2)
    assert keep.table([found]).splitlines()[2] == (
        "| drain | 60 s | 61.5 s | 66.0 s | 1.10 | yes | 2 | `turbo cache=decoded` |"
    )
    (tmp_path / "tune.json").write_text(json.dumps({**record, "best": None, "finished": True}))
    assert ", nothing left to try" in keep.table([keep.read(tmp_path, "drain", "1m")])
