"""A folder without a best.toml: the error says why its run wrote none."""

import pytest

from feedbench.bench.analysis.best import resolve_loader
from feedbench.bench.errors import PlanError
from feedbench.bench.trials_file import write_trials

RATES = [100.0, 101.0, 99.0]
ENDED = "summary.json"


@pytest.fixture
def refusal(tmp_path):
    """A function: the error for a folder with these trials and files."""

    def error(trials, *files, name=""):
        if trials:
            write_trials(tmp_path, trials)
        for file in files:
            (tmp_path / file).touch()
        with pytest.raises(PlanError) as raised:
            resolve_loader(str(tmp_path / name))
        return str(raised.value).replace(str(tmp_path), "out")

    return error


def test_a_bench_that_ended_before_it_chose_says_so(refusal, trial):
    trials = [trial("turbo", RATES), trial("tf_data", [])]
    reason = (
        "its bench chose no loader: not every loader was timed; feedbench show out has its table"
    )
    assert refusal(trials, ENDED) == f"out: no best.toml in this folder; {reason}"
    assert refusal(trials, ENDED, name="best.toml") == f"out/best.toml: no such file; {reason}"


@pytest.mark.parametrize(
    ("rates", "values", "reason"),
    [
        ([], {}, "no block was timed"),
        (RATES, {"error": "it crashed"}, "trials failed, or their blocks do not count"),
        (RATES, {"augment": {}}, "only loaders that are never ranked were timed"),
    ],
)
def test_a_bench_without_a_choice_says_why(refusal, trial, rates, values, reason):
    told = refusal([trial("turbo", rates, **values)], ENDED)
    assert f"; its bench chose no loader: {reason}; feedbench show out" in told


def test_a_bench_that_was_killed_says_so(refusal, trial):
    told = refusal([trial("turbo", RATES)])
    assert told.endswith(
        "; its bench is still running, or was killed before it wrote one; run it again"
    )


def test_a_search_without_a_choice_names_the_command_that_says_why(refusal, trial):
    told = refusal([trial("turbo", RATES)], "tune.json")
    assert told.endswith("; its search has not chosen anything yet; feedbench show out says why")


@pytest.mark.parametrize("record", ["limits-record.json", "fit.json"])
def test_the_trials_of_other_commands_are_no_bench(refusal, trial, record):
    told = refusal([trial("turbo", RATES)], record)
    assert told == "out: no best.toml in this folder; bench and tune write one"


def test_a_folder_without_a_record_is_told_what_writes_one(refusal):
    assert refusal([]) == "out: no best.toml in this folder; bench and tune write one"
