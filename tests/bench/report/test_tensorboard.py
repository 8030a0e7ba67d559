"""A bench's blocks as TensorBoard reads them: scalars over rounds, and a table of settings."""

from pathlib import Path

import pytest

from feedbench.bench.report.event_file import _checksum
from feedbench.bench.report.tensorboard import LOGS, LoggedRun, Logs, trial_run
from feedbench.bench.trials_file import read_trials

RECORD = Path(__file__).parents[3] / "results" / "clothing-cpu"
NAME = "06 tf_data cache=decoded"


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    """The logs of a bench of seven trials that was published."""
    folder = tmp_path_factory.mktemp("logs")
    Logs(folder).finish([trial_run(n, one) for n, one in enumerate(read_trials(RECORD), 1)])
    return folder / LOGS


@pytest.fixture(scope="module")
def trial():
    (found,) = [
        one
        for one in read_trials(RECORD)
        if one.loader == "tf_data" and one.settings == {"cache": "decoded"}
    ]
    return found


def events(folder) -> list:
    """The events of a folder by TensorFlow's own reader, which checks the checksums."""
    import tensorflow as tf

    (path,) = folder.glob("events.out.tfevents.*")
    records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    return [tf.compat.v1.Event.FromString(record) for record in records]


def scalars(folder) -> list[tuple[str, int, float]]:
    return [
        (value.tag, event.step, value.simple_value)
        for event in events(folder)
        for value in event.summary.value
        if not value.tag.startswith("_hparams_")
    ]


def test_a_checksum_is_masked_crc_32c():
    crc = 0xE3069283  # of these digits, the check value of CRC-32C
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert _checksum(b"123456789") == masked.to_bytes(4, "little")


def test_tensorflow_reads_every_block(logs, trial):
    first, *others = events(logs / NAME)
    assert first.file_version == "brain.Event:2"
    values = [(event.step, value) for event in others for value in event.summary.value]
    rates = {
        step: value.simple_value for step, value in values if value.tag == "block/images_per_second"
    }
    assert rates == pytest.approx(trial.rates, rel=1e-6)
    lows = [step for step, value in values if value.tag == "rate/low"]
    assert lows == sorted(trial.rates)[2:]  # fewer than three blocks have no interval
    tags = [value.tag for _, value in values if value.tag.startswith("_hparams_/")]
    assert tags == ["_hparams_/session_start_info", "_hparams_/session_end_info"]


def test_each_block_can_be_read_as_soon_as_it_is_timed_and_the_rest_at_the_end(tmp_path, trial):
    logs, seen = Logs(tmp_path), []
    for count in range(1, len(trial.blocks)):
        logs.add(trial_run(6, trial.model_copy(update={"blocks": trial.blocks[:count]})))
        found = events(tmp_path / LOGS / NAME)
        tags = [value.tag for event in found for value in event.summary.value]
        seen.append(tags.count("block/images_per_second"))
        assert "_hparams_/session_start_info" in tags
        assert "_hparams_/session_end_info" not in tags
    assert seen == [*range(1, len(trial.blocks))]
    logs.finish([trial_run(6, trial)])
    whole = Logs(tmp_path / "whole")
    whole.finish([trial_run(6, trial)])
    grown, at_once = scalars(tmp_path / LOGS / NAME), scalars(tmp_path / "whole" / LOGS / NAME)
    assert grown == at_once


def test_blocks_of_the_winner_alone_are_left_out(tmp_path, trial):
    logs = Logs(tmp_path)
    first = trial.blocks[0].round + 2
    logs.add(trial_run(6, trial.model_copy(update={"chosen_before": first})))
    steps = {step for _, step, _ in scalars(tmp_path / LOGS / NAME)}
    assert steps == {block.round for block in trial.blocks if block.round < first}


def test_a_trial_without_a_block_has_no_logs(tmp_path):
    Logs(tmp_path).finish([LoggedRun(1, "turbo", {"loader": "turbo"}, [])])
    assert not list(tmp_path.iterdir())


def test_names_are_those_of_folders_on_any_system(tmp_path, trial):
    name = f"a/b:c\\d\n{'x' * 300}"
    Logs(tmp_path).finish([LoggedRun(1, name, {}, trial.blocks)])
    (folder,) = [path for path in (tmp_path / LOGS).iterdir() if path.is_dir()]
    assert folder.name == f"01 a_b_c_d_{'x' * 92}"


@pytest.mark.guests("tensorboard")
def test_tensorboard_reads_the_scalars(logs, trial):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    accumulator = EventAccumulator(str(logs / NAME))
    accumulator.Reload()
    rates = {event.step: event.value for event in accumulator.Scalars("block/images_per_second")}
    assert rates == pytest.approx(trial.rates, rel=1e-6)


@pytest.mark.guests("tensorboard")
def test_tensorboard_shows_settings_against_rate(logs):
    from tensorboard.plugins.hparams import plugin_data_pb2

    contents = {}
    for folder in (logs, logs / NAME):
        for event in events(folder):
            for value in event.summary.value:
                data = value.metadata.plugin_data
                if data.plugin_name == "hparams":
                    parsed = plugin_data_pb2.HParamsPluginData.FromString(data.content)
                    contents[value.tag] = parsed
    experiment = contents["_hparams_/experiment"].experiment
    assert {"loader", "cache", "workers"} <= {info.name for info in experiment.hparam_infos}
    assert "rate/median" in {info.name.tag for info in experiment.metric_infos}
    start = contents["_hparams_/session_start_info"].session_start_info
    assert {name: value.string_value for name, value in start.hparams.items()} == {
        "loader": "tf_data",
        "cache": "decoded",
    }
