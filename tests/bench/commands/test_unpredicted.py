"""A training without a predicted rate says which of the possible reasons it is."""

from collections import defaultdict
from pathlib import Path

import pytest
import tomli_w

from feedbench.bench.analysis.best import Best
from feedbench.bench.commands import train
from feedbench.bench.commands.overlay import chosen_loader
from feedbench.bench.plan.plan import Suite
from feedbench.bench.training.rate_check import Basis, TimedEpoch, check_rate
from feedbench.loaders import Augment, BatchSpec
from feedbench.trainer import Recipe

RATE = {"images_per_second": {"value": 9.0, "low": 8.0, "high": 10.0}}
CHOICE = {"loader": "turbo", "machine": {"cores": 2}}
EPOCHS = [TimedEpoch(rates=[rate], wait_s=0.0, train_s=1.0) for rate in (1.0, 2.0)]
TEXT = "Rate check: no predicted rate: {}."


@pytest.fixture
def chosen(tmp_path, monkeypatch):
    """A function: the choice of a best.toml, or of a loader, with options."""
    monkeypatch.chdir(tmp_path)

    def choose(best=None, sets=None, given=None):
        if best is None:
            return chosen_loader("turbo", sets, defaultdict(dict, given or {}))
        values = best.model_dump(mode="json", exclude_none=True)
        Path("best.toml").write_text(tomli_w.dumps(values))
        return chosen_loader("best.toml", sets, defaultdict(dict, given or {}))

    return choose


def text_of(best):
    return check_rate(best, EPOCHS, Recipe(), Basis({})).text


def test_a_loader_that_was_never_measured(chosen):
    assert text_of(chosen()) == TEXT.format("no best.toml was given with --loader")


def test_a_choice_that_was_not_timed_again(chosen):
    assert text_of(chosen(Best(**CHOICE))) == TEXT.format(
        "its best.toml has none, since that run did not time its choice again"
    )


@pytest.mark.parametrize(
    ("sets", "given", "why"),
    [
        (["turbo.prefetch=3"], {}, "--set gives other settings than were measured"),
        (
            None,
            {BatchSpec: {"batch_size": 32}},
            "other batches were measured: batch_size 192 against 32",
        ),
        (
            None,
            {Augment: {"horizontal_flip": True}},
            "other batches were measured: augment.horizontal_flip no against yes",
        ),
    ],
    ids=str,
)
def test_options_that_change_what_was_measured(chosen, sets, given, why):
    best = Best(**CHOICE, predicted=RATE)
    assert chosen(best).predicted is not None
    assert text_of(chosen(best, sets, given)) == TEXT.format(why)


def test_other_devices_than_were_measured(monkeypatch):
    monkeypatch.setenv("FEEDBENCH_GPUS", "1")  # and so restored in the end
    best = Best(**CHOICE, predicted=RATE)
    given = defaultdict(dict, {Suite: {"devices": "cpu:2"}})
    other = train._on_devices(best, given, is_resumed=False)
    assert text_of(other) == TEXT.format("other devices were measured: 1 against cpu:2")
    assert text_of(Best.model_validate(other.model_dump())) == text_of(other)  # once it resumes
