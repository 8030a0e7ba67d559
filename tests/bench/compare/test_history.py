"""A history grows by one whole line per run, whatever happens to the runs."""

import json
import os
import subprocess
import sys
from multiprocessing import get_context

import pytest

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.compare.history import append_history, history_entry, read_history
from feedbench.bench.errors import RecordError
from feedbench.replacing import PART


@pytest.fixture
def entry(trial):
    trials = [trial("turbo", [100.0, 101.0, 102.0], rows="a"), trial("tf_data", [], error="no")]
    return history_entry(trials, summarize(trials))


def test_a_line_holds_what_a_run_measured(tmp_path, entry):
    path = tmp_path / "history.jsonl"
    append_history(path, entry)
    append_history(path, entry)
    first, second = read_history(path)
    assert first == second == entry
    assert (first.trials[0].name, first.trials[0].winner) == ("turbo", True)
    assert first.trials[0].images_per_second.value == pytest.approx(101)
    assert first.trials[1].images_per_second is None
    assert path.read_bytes().count(b"\n") == 2


def test_the_commit_of_the_working_directory_is_noted(tmp_path, monkeypatch, trial):
    monkeypatch.chdir(tmp_path)
    trials = [trial("turbo", [100.0])]
    assert history_entry(trials, summarize(trials)).commit is None
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    (tmp_path / "pipeline.py").write_text("1")
    for arguments in (["init", "-q"], ["add", "."], [*identity, "commit", "-qm", "one"]):
        subprocess.run(["git", *arguments], check=True)
    clean = history_entry(trials, summarize(trials))
    assert len(clean.commit) == 40
    assert clean.has_changes is False
    (tmp_path / "pipeline.py").write_text("2")
    assert history_entry(trials, summarize(trials)).has_changes is True


def test_one_device_of_several_has_no_line_and_their_number_is_of_the_group(trial):
    devices = {"device": "CPU", "devices": ["CPU:0", "CPU:1"]}
    trials = [trial("synthetic", [9.0] * 3, **devices), trial("synthetic", [5.0] * 3, alone=True)]
    entry = history_entry(trials, summarize(trials))
    assert [one.images_per_second.value for one in entry.trials] == [9.0]
    assert entry.device == "2 × CPU"


def test_entries_of_other_machines_or_images_are_of_another_group(entry):
    other = entry.model_copy(update={"machine": {"cores": 99}})
    assert entry.group != other.group
    assert entry.group == entry.model_copy(update={"commit": "x", "trials": []}).group


@pytest.mark.parametrize("character", ["\u2028", "\u2029", "\x85", "\x1c"])
def test_a_name_with_a_separator_of_lines_stays_one_line(tmp_path, entry, character):
    path = tmp_path / "history.jsonl"
    first = entry.trials[0].model_copy(update={"loader": f"a{character}b.py:make"})
    odd = entry.model_copy(update={"trials": [first]})
    append_history(path, odd)
    append_history(path, entry)
    assert read_history(path) == [odd, entry]


CONDITIONS = {
    "cache_state": "cold",
    "device": "NVIDIA H100",
    "accelerator": {"images_per_second": 5.0, "batch_size": 8, "image_size": 96},
    "model": {"sha256": "1" * 64},
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_runs_under_other_conditions_are_of_another_group(trial, name):
    trials = [trial("turbo", [100.0])]
    others = [one.model_copy(update={name: CONDITIONS[name]}) for one in trials]
    one, other = (history_entry(some, summarize(some)) for some in (trials, others))
    assert one.group != other.group


def test_a_line_of_the_first_format_is_read(tmp_path, entry):
    path = tmp_path / "history.jsonl"
    newer = {"device", "accelerator", "model", "cache_state"}
    old = entry.model_copy(update={"schema_number": 1})
    path.write_text(old.model_dump_json(exclude=newer) + "\n")
    assert read_history(path) == [old]


def test_a_last_line_without_its_end_is_kept_whole(tmp_path, entry):
    path = tmp_path / "history.jsonl"
    path.write_text(entry.model_dump_json())
    append_history(path, entry)
    assert len(read_history(path)) == 2


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"schema_number": 99}', "\x00"])
def test_a_file_that_is_no_history_is_refused_with_the_line(tmp_path, entry, text):
    path = tmp_path / "history.jsonl"
    path.write_text(f"{entry.model_dump_json()}\n{text}\n")
    with pytest.raises(RecordError, match="line 2"):
        read_history(path)


def test_a_time_without_its_zone_is_refused_with_the_line(tmp_path, entry):
    path = tmp_path / "history.jsonl"
    line = entry.model_dump_json()
    odd = entry.model_dump(mode="json") | {"time": "2026-01-01T12:00:00"}
    path.write_text(f"{line}\n{json.dumps(odd)}\n")
    with pytest.raises(RecordError, match=r"line 2.*time"):
        read_history(path)


def test_a_link_and_its_permissions_are_kept(tmp_path, entry):
    path, link = tmp_path / "real.jsonl", tmp_path / "link.jsonl"
    path.write_text("")
    path.chmod(0o640)
    link.symlink_to(path)
    append_history(link, entry)
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert len(read_history(path)) == 1


def _append_many(path, entry, count):
    for _ in range(count):
        append_history(path, entry)


def test_runs_that_end_at_once_lose_no_line(tmp_path, entry):
    path, context = tmp_path / "history.jsonl", get_context("fork")
    writers = [context.Process(target=_append_many, args=(path, entry, 20)) for _ in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert len(read_history(path)) == 80
    assert os.listdir(tmp_path) == ["history.jsonl"]


def test_a_killed_run_leaves_whole_lines(tmp_path, entry):
    path = tmp_path / "history.jsonl"
    append_history(path, entry)
    code = (
        "import sys; from pathlib import Path\n"
        "from feedbench.bench.compare.history import append_history, read_history\n"
        "path = Path(sys.argv[1]); entry = read_history(path)[0]; print('ready', flush=True)\n"
        "while True: append_history(path, entry)\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        process.stdout.readline()
        while len(path.read_bytes()) < 5 * len(entry.model_dump_json()):
            pass
        process.kill()
    lines = len(read_history(path))
    append_history(path, entry)
    assert len(read_history(path)) == lines + 1


def test_what_killed_runs_left_is_removed_and_that_of_others_is_kept(tmp_path, entry):
    path = tmp_path / "history.jsonl"
    with subprocess.Popen(["true"]) as ended:
        ended.wait()
    left_over = tmp_path / f"{PART}{ended.pid}.history.jsonl"
    others = f"{PART}{os.getpid()}.other.jsonl", f"{PART}{ended.pid}.other.jsonl"
    kept = [*others, f"{PART}history.jsonl", ".history.jsonl"]
    for one in (left_over, *(tmp_path / name for name in kept)):
        one.write_text("a copy")
    append_history(path, entry)
    assert sorted(one.name for one in tmp_path.iterdir()) == sorted([*kept, path.name])
    assert len(read_history(path)) == 1
