"""The commands that a bench or a search names at its end run as they are printed."""

import shlex
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pytest
import tomli_w

from feedbench.bench.analysis.best import Best
from feedbench.bench.commands import next_step
from feedbench.bench.commands.next_step import CommandLine, after_training, next_lines
from feedbench.bench.commands.options import has_validation
from feedbench.bench.commands.overlay import chosen_loader
from feedbench.bench.plan.plan import Choice, Failures, PixelCheck, Plan, Timing
from feedbench.bench.record import Own
from feedbench.loaders import BatchSpec, scan
from feedbench.trainer import Recipe

PLAN = Plan(
    (Choice(loader="turbo"),),
    BatchSpec(image_size=32),
    Recipe(),
    "train",
    Timing(),
    Failures(),
    PixelCheck(),
)
GIVEN = CommandLine(["bench", "my photos", "--out", "out", "--consumer", "drain"], "my photos")
TRAIN = "feedbench train 'my photos' --loader out/best.toml"


def lines(given=GIVEN, plan=PLAN, trial=None) -> list[str]:
    return list(next_lines(given, plan, Path("out/best.toml"), trial))


@pytest.fixture
def of_own(trial):
    """A function: the record of a user's function with these facts."""

    def record(**facts):
        return trial("p.py:f", [1], own=Own(file="p.py", function="f", digest="0", **facts))

    return record


def test_a_training_is_suggested_only_if_it_can_run(tiny_photos):
    listed = scan(tiny_photos)
    assert has_validation(listed)
    assert not has_validation(listed.only("train"))
    assert lines() == [f"Next: {TRAIN}"]
    later = lines(replace(GIVEN, can_train=False))
    assert later == [f"Next, once the data have a validation split: {TRAIN}"]


@pytest.mark.parametrize("consumer", ["drain", "emulated:a100"])
def test_where_nothing_was_trained_a_command_measures_the_rate_to_expect(consumer):
    first, second = lines(plan=replace(PLAN, consumer=consumer))
    assert first == f"Next: {TRAIN}"
    assert second == (
        f"Its rate check will have nothing to compare with, since consumer {consumer} trained "
        "nothing; to measure that first: feedbench bench 'my photos' --consumer train"
    )


def test_the_training_leaves_out_the_same_files_and_skips_those_that_fail():
    given = replace(GIVEN, blacklist=Path("bad files.csv"))
    failures = Failures(on_error="skip", error_budget=0.5)
    (line,) = lines(given, replace(PLAN, failures=failures))
    assert shlex.split(line)[1:] == [
        *shlex.split(TRAIN),
        *("--blacklist", "bad files.csv", "--on-error", "skip", "--error-budget", "0.5"),
    ]


@pytest.mark.parametrize(
    ("facts", "options"),
    [
        ({}, ""),
        ({"value_range": (0.0, 255.0)}, " --value-range 0,255"),
        ({"value_range": (-1.0, 1.0)}, " --value-range -1,1"),
        ({"value_range": (0.0, 1.0), "image_size": (32, 32)}, ""),
        ({"value_range": (-2.1, 2.6)}, ""),  # none of the common ones
        ({"image_size": (16, 16)}, " --image-size 16"),
        ({"image_size": (16, 32)}, ""),  # which no built-in network takes
    ],
)
def test_a_built_in_network_is_told_what_the_batches_of_a_function_are(of_own, facts, options):
    trial = of_own(**facts)
    assert lines(trial=trial) == [f"Next: {TRAIN}{options}"]
    own_model = replace(PLAN, recipe=Recipe(network="net.py:build"))
    assert lines(plan=own_model, trial=trial) == [f"Next: {TRAIN}"]


def test_the_command_that_measures_the_rate_has_what_a_built_in_network_needs_too(of_own):
    trial = of_own(image_size=(48, 48), value_range=(0.0, 255.0))
    given = replace(GIVEN, arguments=[*GIVEN.arguments, "--image-size", "32"])
    first, second = lines(given, replace(PLAN, consumer="drain"), trial)
    options = "--image-size 48 --value-range 0,255"
    assert first == f"Next: {TRAIN} {options}"
    assert second.endswith(f": feedbench bench 'my photos' {options} --consumer train")


@pytest.mark.parametrize(("takes", "is_kept"), [("batch_size", True), ("spec", False)])
def test_the_value_range_of_own_batches_does_not_change_their_rate(
    tmp_path, monkeypatch, takes, is_kept
):
    monkeypatch.chdir(tmp_path)
    Path("p.py").write_text(f"def f({takes}): ...")
    predicted = {"images_per_second": {"value": 9.0, "low": 8.0, "high": 10.0}}
    best = Best(loader="p.py:f", spec={"batch_size": 8}, predicted=predicted)
    Path("best.toml").write_text(tomli_w.dumps(best.model_dump(mode="json", exclude_none=True)))
    given = defaultdict(dict, {BatchSpec: {"value_range": (0.0, 255.0)}})
    assert (chosen_loader("best.toml", None, given).predicted is not None) == is_kept


@pytest.mark.parametrize(("package", "command"), [("vl_convert", "report"), (None, "show")])
def test_after_a_training_the_command_named_has_what_it_needs(monkeypatch, package, command):
    monkeypatch.setattr(next_step, "find_spec", lambda _: package)
    assert after_training(Path("my run")) == f"Next: feedbench {command} 'my run'"
