"""Records can be read back, old ones too, and errors name the line."""

import json
import re
import signal
from pathlib import Path

import pytest
from pydantic import ValidationError

from feedbench.bench.environment import conditions
from feedbench.bench.errors import RecordError
from feedbench.bench.record import SCHEMA_NUMBER, Conditions, Trial, differences
from feedbench.bench.trials_file import read_trials, write_trials
from feedbench.loaders import scan

RESULTS = Path(__file__).parents[2] / "results"
HERE = Conditions(
    rows="0123456789abcdef",
    machine={"processor": "one", "cores": 2, "gpus": []},
    versions={"python": "3.11.1", "keras": "3.1"},
)


def test_trials_read_back_as_they_were_written(trial, tmp_path):
    trials = [trial("tf_data", [1.5, 2.5]), trial("keras_pil", [], error="crashed: é")]
    write_trials(tmp_path, trials)
    assert read_trials(tmp_path) == trials
    assert [path.name for path in tmp_path.iterdir()] == ["trials.jsonl"]


def test_ctrl_c_is_deferred_until_the_record_is_written(trial, tmp_path, monkeypatch):
    def interrupted(model):
        signal.raise_signal(signal.SIGINT)
        return Trial.__pydantic_serializer__.to_json(model).decode()

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(Trial, "model_dump_json", interrupted)
    try:
        with pytest.raises(KeyboardInterrupt):
            write_trials(tmp_path, [trial("tf_data", [1.5]), trial("turbo", [2.5])])
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert [one.loader for one in read_trials(tmp_path)] == ["tf_data", "turbo"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "line 2 is not a trial"),
        ('{"loader": 3}', "line 2: "),
        ('{"schema_number": 99}', "schema 99 is newer"),
        ('{"schema_number": "4"}', "line 2: schema_number must be a whole number, got '4'"),
        ("[]", "line 2 is not a trial"),
        ("[" * 100_000, "line 2 is not a trial: maximum recursion depth"),
    ],
)
def test_a_line_that_is_not_a_trial_is_named(trial, tmp_path, line, said):
    write_trials(tmp_path, [trial("tf_data", [1])])
    path = tmp_path / "trials.jsonl"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(RecordError, match=said) as raised:
        read_trials(tmp_path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_block_of_infinite_seconds_is_named(trial, tmp_path):
    write_trials(tmp_path, [trial("tf_data", [1])])
    path = tmp_path / "trials.jsonl"
    path.write_text(re.sub(r'"seconds":[0-9.]+', '"seconds":Infinity', path.read_text()))
    with pytest.raises(RecordError, match="line 1 is not a trial: Infinity is no number"):
        read_trials(tmp_path)


def test_blank_lines_at_the_end_are_ignored(trial, tmp_path):
    write_trials(tmp_path, trials := [trial("tf_data", [1])])
    path = tmp_path / "trials.jsonl"
    path.write_text(path.read_text() + "\n\n")
    assert read_trials(tmp_path) == trials


def test_a_line_separator_in_a_text_does_not_end_a_line(trial, tmp_path):
    write_trials(tmp_path, trials := [trial("tf_data", [1], error="a\u2028b\x85c")])
    assert read_trials(tmp_path) == trials


def test_a_folder_without_a_record_is_named(tmp_path):
    with pytest.raises(RecordError, match=r"trials\.jsonl"):
        read_trials(tmp_path)


@pytest.mark.parametrize(
    ("folder", "schema"),
    [("clothing-cpu", 1), ("limits/tf_data-clothing", 3), ("limits/clothing", 4)],
)
def test_a_published_record_of_an_older_schema_is_read(folder, schema):
    trials = read_trials(RESULTS / folder)
    assert trials
    for trial in trials:
        assert trial.schema_number == schema < SCHEMA_NUMBER
        assert (trial.rows, trial.machine, trial.versions) == (None, None, None)
        assert trial.blocks or trial.error
        assert all(block.images_per_second > 0 for block in trial.blocks)


def test_a_trial_is_immutable(trial):
    made = trial("tf_data", [1.5])
    with pytest.raises(ValidationError, match="frozen"):
        made.error = "crashed"
    with pytest.raises(ValidationError, match="frozen"):
        made.blocks[0].round = 1


def test_conditions_identify_the_images_the_machine_and_the_versions(tiny_photos):
    manifest = scan(tiny_photos)
    here = conditions(manifest)
    assert here == conditions(scan(tiny_photos))
    assert here.machine.keys() == {"processor", "cores", "gpus"}
    assert {"feedbench", "python", "tensorflow", "keras", "pillow", "numpy"} <= set(here.versions)
    assert here.rows != conditions(manifest.only("train")).rows
    assert differences(here, here) == ""


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"rows": "fedcba9876543210"}, "photographs 0123456789ab against fedcba987654"),
        ({"machine": {**HERE.machine, "cores": 4}}, "cores 2 against 4"),
        ({"machine": {**HERE.machine, "gpus": ["A100"]}}, "gpus none against A100"),
        (
            {"versions": {"python": "3.12.0", "keras": None}},
            "python 3.11.1 against 3.12.0, keras 3.1 against not installed",
        ),
        ({"rows": None, "machine": None, "versions": None}, ""),
    ],
    ids=["photographs", "cores", "GPUs", "versions", "unknown"],
)
def test_differences_name_both_values(changed, words):
    assert differences(HERE, HERE.model_copy(update=changed)) == words


def test_a_changed_file_size_changes_the_fingerprint(tmp_path):
    for name in ("a", "b"):
        (tmp_path / "one").mkdir(exist_ok=True)
        (tmp_path / "one" / f"{name}.jpg").write_bytes(b"12")
    manifest = scan(tmp_path, validation=0, test=0)
    by_names, by_sizes = manifest.fingerprint(), manifest.fingerprint(sizes=True)
    (tmp_path / "one" / "b.jpg").write_bytes(b"123")
    assert manifest.fingerprint() == by_names
    assert manifest.fingerprint(sizes=True) != by_sizes
    (tmp_path / "one" / "b.jpg").unlink()
    assert manifest.fingerprint(sizes=True) != by_sizes


def test_trials_of_two_machines_in_one_record_are_refused(trial, tmp_path):
    here = trial("tf_data", [1.5], **dict(HERE))
    there = here.model_copy(update={"machine": {**HERE.machine, "cores": 4}})
    write_trials(tmp_path, [here, here, there])
    with pytest.raises(RecordError, match=r"line 3 was not measured .* line 1: cores 2 against 4"):
        read_trials(tmp_path)
    lines = (tmp_path / "trials.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["schema_number"] == SCHEMA_NUMBER


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"consumer": "drain"}, "consumer train against drain"),
        ({"images": 20}, "images 10 against 20"),
        ({"spec": {"image_size": 96}}, "image_size 224 against 96"),
        ({"recipe": {"alpha": 0.35}}, "alpha 1.0 against 0.35"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_trials_of_two_plans_in_one_record_are_refused(trial, tmp_path, changed, words):
    first = trial("tf_data", [1.5]).model_copy(
        update={"spec": {"image_size": 224}, "recipe": {"alpha": 1.0}}
    )
    write_trials(tmp_path, [first, first.model_copy(update=changed)])
    with pytest.raises(RecordError, match=f"line 2 was not measured .*: {words}"):
        read_trials(tmp_path)


def test_a_trial_may_have_an_augmentation_of_its_own(trial, tmp_path):
    first = trial("tf_data", [1.5]).model_copy(update={"spec": {"augment": {"rotation": 15}}})
    alone = first.model_copy(update={"spec": {"augment": {}}, "augment": {}})
    write_trials(tmp_path, [first, alone])
    assert read_trials(tmp_path) == [first, alone]


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "trials.jsonl").write_bytes(b"\xff\xfe{}")
    with pytest.raises(RecordError, match=r"trials.jsonl: not UTF-8"):
        read_trials(tmp_path)
