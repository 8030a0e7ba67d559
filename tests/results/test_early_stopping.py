"""Benches that are replayed on long runs: those of known rates end as they have to."""

import json

import numpy as np
import pytest

from feedbench.bench.trials_file import write_trials


def long_run(trial, speeds, seed=0, rounds=40, spread=0.01):
    random = np.random.default_rng(seed)
    drift = np.exp(np.cumsum(random.normal(0, 0.02, rounds)))
    return [
        trial(
            "turbo",
            (1000 * speed * drift * np.exp(random.normal(0, spread, rounds))).tolist(),
            {"n": n},
        )
        for n, speed in enumerate(speeds)
    ]


@pytest.fixture
def replay(script):
    return script("early-stopping/replay.py")


def test_trials_far_apart_are_decided_at_the_first_look_without_an_error(replay, trial):
    benches = list(replay.replays(long_run(trial, [1, 0.8, 0.6]), None, None))
    assert [one.begin for one in benches] == list(range(26))
    assert {one.rounds for one in benches} == {4}
    assert not any(one.false_slower or one.wrong_order or one.undecided for one in benches)
    assert sum(one.covered for one in benches) > 0.8 * sum(one.intervals for one in benches)
    kept = replay.disjoint(benches)
    assert [one.begin for one in kept] == list(range(0, 26, 4))


def test_rates_are_made_equal_or_a_given_percentage_apart(replay, trial):
    trials = long_run(trial, [1, 0.8, 0.6])
    equal = list(replay.replays(trials, 0.0, None))
    assert sum(one.false_slower for one in equal) <= 2
    assert any(one.undecided for one in equal)
    # The truth of these is not that of the record: a slower trial is no error, an order is.
    far = list(replay.replays(trials[::-1], 0.2, None))
    assert not any(one.false_slower or one.wrong_order for one in far)


def test_a_trial_that_is_falsely_called_slower_is_found(replay, trial):
    quiet = long_run(trial, [1, 1], spread=0.0001)
    trials = [quiet[0], trial("turbo", [0.93 * rate for rate in quiet[0].rates.values()], {"n": 1})]
    ended = replay.run_to_the_end([replay.window(one, 0, 15) for one in trials])
    assert replay.judged(ended, [1.0, 1.0], 0, None).false_slower
    assert not replay.judged(ended, [1.0, 0.97], 0, None).false_slower
    assert replay.judged(ended, [0.9, 1.0], 0, None).wrong_order


def test_a_replayed_bench_ends_as_a_real_one_with_these_rates(replay, trial):
    trials = long_run(trial, [1, 0.99, 0.93, 0.5])
    ended = replay.run_to_the_end([replay.window(one, 3, 15) for one in trials])
    assert len(ended[3].blocks) == 4
    assert ended[3].stopped.rounds == 4
    assert len(ended[0].blocks) > 4
    assert [block.round for block in ended[0].blocks] == list(range(len(ended[0].blocks)))


def test_the_time_is_that_of_blocks_starts_and_the_winner_alone(replay, trial, tmp_path):
    folder = tmp_path / "run-00"
    folder.mkdir()
    slow = [trial("turbo", [1000] * 4, {"n": n}) for n in range(2)]
    later = [
        one.model_copy(
            update={
                "blocks": [
                    block.model_copy(update={"began": 100 + 2 * block.round + n * 1.0})
                    for block in one.blocks
                ]
            }
        )
        for n, one in enumerate(slow)
    ]
    # Blocks of 1 s that begin every second: nothing between them.
    write_trials(folder, later)
    (folder / "seconds.json").write_text(json.dumps(50.0))
    cost = replay.cost_of(tmp_path)
    assert (cost.fixed_s, cost.between_s) == ([42.0], 0.0)
    assert cost.of(later, rounds=4) == 42 + 8 + 6  # six blocks of the winner alone
    assert replay.cost_of(folder) is None


def test_the_table_bounds_errors_by_benches_that_share_no_block(
    replay, trial, tmp_path, capsys, monkeypatch
):
    for number, name in enumerate(replay.LONG):
        (tmp_path / name).mkdir()
        write_trials(tmp_path / name, long_run(trial, [1, 0.9, 0.8], seed=number, rounds=20))
    monkeypatch.setattr("sys.argv", ["replay.py", str(tmp_path)])
    replay.main()
    rows = [line.split(" | ") for line in capsys.readouterr().out.splitlines()[2:]]
    assert [row[0] for row in rows] == ["| as measured", "| 0%", "| 2%", "| 5%", "| 10%", "| 20%"]
    assert rows[0][1:6] == ["12", "4", "4 (4)", "–", "0.0% (≤ 49.0%)"]
