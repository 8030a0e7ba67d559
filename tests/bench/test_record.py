"""A record reads back as it was written, and a broken one is named."""

import signal

import pytest

from feedbench.bench.errors import RecordError
from feedbench.bench.record import Trial, read_trials, write_trials


def test_trials_read_back_as_they_were_written(trial, tmp_path):
    trials = [trial("tf_data", [1.5, 2.5]), trial("keras_pil", [], error="crashed: é")]
    write_trials(tmp_path, trials)
    assert read_trials(tmp_path) == trials
    assert [path.name for path in tmp_path.iterdir()] == ["trials.jsonl"]


def test_ctrl_c_waits_until_the_record_is_whole(trial, tmp_path, monkeypatch):
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
        ("[]", "line 2 is not a trial"),
    ],
)
def test_a_line_that_is_no_trial_is_named(trial, tmp_path, line, said):
    write_trials(tmp_path, [trial("tf_data", [1])])
    path = tmp_path / "trials.jsonl"
    path.write_text(path.read_text() + line + "\n")
    with pytest.raises(RecordError, match=said) as raised:
        read_trials(tmp_path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_folder_without_a_record_is_named(tmp_path):
    with pytest.raises(RecordError, match=r"trials\.jsonl"):
        read_trials(tmp_path)
