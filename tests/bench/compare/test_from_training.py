"""The rate of a training is that of its epochs without a warm-up."""

from dataclasses import replace
from pathlib import Path

import pytest

from feedbench.bench.compare.conditions import find_differences, unknown_conditions
from feedbench.bench.compare.from_training import TRAINING_RATE, of_training
from feedbench.bench.errors import RecordError
from feedbench.bench.results.find import read_result

SCRATCH = Path(__file__).parents[3] / "results" / "clothing-training" / "scratch"


def rates_of(result, epochs):
    subject = of_training(replace(result, values={**result.values, "epochs": epochs}))
    return list(subject.rates[TRAINING_RATE].measured.rates.values())


def test_epochs_in_which_a_training_was_resumed_are_not_compared():
    result = read_result(SCRATCH)
    first, second, third, *others = result.values["epochs"]
    resumed = {**second, "train_s": 10 * second["train_s"], "first_of_process": True}
    expected = rates_of(result, [first, third, *others])
    assert rates_of(result, [first, resumed, third, *others]) == expected


def test_trainings_on_other_photographs_are_refused():
    result = read_result(SCRATCH)

    def subject(**values):
        return of_training(replace(result, values={**result.values, **values}))

    one, other = subject(rows="a" * 64), subject(rows="b" * 64)
    with pytest.raises(RecordError, match="photographs bbbbbbbbbbbb instead of aaaaaaaaaaaa"):
        find_differences(one, other, 1, [])
    assert find_differences(one, subject(rows="a" * 64), 1, []) == []
    assert "photographs" not in unknown_conditions(one, one)
    assert "photographs" in unknown_conditions(one, subject())
