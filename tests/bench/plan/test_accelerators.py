"""Emulated accelerators run at their stated rate and list what is assumed of it."""

import sys

import numpy as np
import pytest

from feedbench.bench.analysis.stats import median_interval
from feedbench.bench.analysis.summary import summarize
from feedbench.bench.cli import main
from feedbench.bench.commands import calibrate
from feedbench.bench.consumers import emulated
from feedbench.bench.consumers.emulated import EmulatedAccelerator
from feedbench.bench.errors import PlanError, RecordError
from feedbench.bench.plan.accelerators import (
    Accelerator,
    accelerators,
    add_accelerator,
    find_accelerator,
)
from feedbench.bench.plan.plan import Choice, Failures, PixelCheck, Plan, Timing, make_plan
from feedbench.bench.plan.plan import Suite as SuiteModel
from feedbench.bench.plan.toml import parse_model
from feedbench.bench.report.summary_text import consumer_text
from feedbench.bench.training.calibrate import as_profile, placeholder_manifest
from feedbench.bench.trials.run import run
from feedbench.loaders import Batch, BatchSpec
from feedbench.trainer import RUN_AHEAD, Recipe

KNOWN = {
    "device": "a clock",
    "images_per_second": 400,
    "batch_size": 8,
    "image_size": 16,
    "network": "MobileNetV2",
    "alpha": 1.0,
    "precision": "none",
    "source": "this test",
}


def batch(images: int = 8) -> Batch:
    return Batch(np.zeros((images, 1, 1, 3)), np.zeros(images, np.int32), np.arange(images))


def test_a_trial_with_synthetic_batches_comes_to_the_stated_rate_and_never_above(tmp_path):
    plan = Plan(
        (Choice(loader="synthetic"),),
        BatchSpec(batch_size=8, image_size=16),
        Recipe(),
        "emulated:clock",
        Timing(blocks=3, block_seconds=0.4, warm_up_seconds=0.1),
        Failures(),
        PixelCheck(images=0),
        Accelerator(**KNOWN),
    )
    (trial,) = run(plan, placeholder_manifest(64, 1000), tmp_path, lambda event: None)
    # A machine that is busy with other things may delay steps, but none may be too short.
    rates = [block.images_per_second for block in trial.blocks]
    assert 20 < median_interval(rates).value < 402
    assert summarize([trial]).trials[0].accelerator_utilization.value == 1.0
    assert "a clock" in consumer_text(trial)


class Clock:
    """Time that passes by sleeping, and a little with each reading.

    Attributes:
        slept_s: the part of it that was slept.
    """

    def __init__(self) -> None:
        self.now = self.slept_s = 0.0

    def read(self) -> float:
        self.now += 1e-6
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.slept_s += seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(emulated, "perf_counter", clock.read)
    monkeypatch.setattr(emulated, "sleep", clock.sleep)
    return clock


def test_the_host_runs_ahead_as_far_as_with_the_trainer(clock):
    device = EmulatedAccelerator(0.2 / 8)
    for _ in range(RUN_AHEAD):
        device.step(batch())
    assert clock.now == pytest.approx(0, abs=0.001)
    device.step(batch())
    assert clock.now == pytest.approx(0.2, abs=0.001)
    device.finish()
    assert clock.now == pytest.approx(0.2 * (RUN_AHEAD + 1), abs=0.001)


def test_the_stated_rate_is_reached_and_nearly_all_of_the_time_slept(clock):
    device = EmulatedAccelerator(0.05 / 8)
    for _ in range(20):
        device.step(batch())
    device.finish()
    assert clock.now == pytest.approx(1.0, abs=0.001)
    assert clock.slept_s > 0.98 * clock.now  # the rest is a busy loop


def test_a_device_that_waited_does_not_catch_up(clock):
    device = EmulatedAccelerator(0.1 / 8)
    device.step(batch())
    clock.sleep(0.4)
    device.step(batch())
    device.finish()
    assert clock.now == pytest.approx(0.5, abs=0.001)


def test_a_short_batch_takes_a_short_step(clock):
    device = EmulatedAccelerator(0.4 / 8)
    device.step(batch(2))
    device.finish()
    assert clock.now == pytest.approx(0.1, abs=0.001)


def test_every_profile_states_its_conditions_and_source():
    assert accelerators().keys() >= {"v100", "a100", "a100-8", "rtx3090"}
    assert all(profile.source and profile.precision for profile in accelerators().values())


def test_conditions_that_differ_from_the_measurement_are_listed_as_assumed():
    a100 = find_accelerator("a100")
    measured = BatchSpec(batch_size=a100.batch_size, image_size=a100.image_size)
    assert a100.assumptions(measured, Recipe()) == []
    assumptions = a100.assumptions(BatchSpec(batch_size=64, image_size=96), Recipe(alpha=0.35))
    assert len(assumptions) == 3
    assert all(text.startswith("assumed: ") for text in assumptions)
    assert "MobileNetV2, alpha 0.35 is as fast as MobileNetV2, alpha 1" in assumptions[0]
    assert a100.seconds_per_image(112) == pytest.approx(a100.seconds_per_image(224) / 4)


def test_a_profile_of_the_user_overrides_a_built_in_one(monkeypatch, tmp_path):
    monkeypatch.setenv("FEEDBENCH_CONFIG", str(tmp_path / "new"))
    path = add_accelerator("a100", Accelerator(**KNOWN))
    add_accelerator("mine", Accelerator(**KNOWN))
    assert find_accelerator("a100").device == "a clock"
    assert {"v100", "mine"} < accelerators().keys()
    path.write_text("[mine]\nrate = 7\n")
    with pytest.raises(PlanError, match=r"accelerators\.toml: mine: device: field required"):
        find_accelerator("a100")


def test_a_profile_needs_a_folder_that_can_be_made(monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv("FEEDBENCH_CONFIG", str(tmp_path / "file"))
    with pytest.raises(RecordError, match=r"file/accelerators\.toml: .*set FEEDBENCH_CONFIG to"):
        add_accelerator("mine", Accelerator(**KNOWN))


def test_without_a_home_folder_one_has_to_be_named(monkeypatch, tmp_path):
    def unknown(number):
        raise KeyError(number)

    for name in ("HOME", "XDG_CONFIG_HOME", "FEEDBENCH_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("pwd.getpwuid", unknown)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RecordError, match="has no home folder: set FEEDBENCH_CONFIG"):
        add_accelerator("mine", Accelerator(**KNOWN))
    assert list(tmp_path.iterdir()) == []
    assert "v100" in accelerators()


def test_a_plan_holds_the_profile_of_its_consumer():
    values = {"consumer": "emulated:v100", "trial": [{"loader": "tf_data"}]}
    plan = make_plan(parse_model(SuiteModel, values, "a test"))
    assert plan.accelerator == find_accelerator("v100")
    assert [choice.loader for choice in plan.choices] == ["tf_data", "synthetic"]
    with pytest.raises(PlanError, match="there are v100"):
        make_plan(parse_model(SuiteModel, {**values, "consumer": "emulated:k80"}, "a test"))


def test_calibrate_measures_the_real_trainer_and_adds_its_profile(monkeypatch, tmp_path):
    monkeypatch.setenv("FEEDBENCH_CONFIG", str(tmp_path))
    monkeypatch.setitem(calibrate._TIMING, "warm_up_seconds", 0)
    (tmp_path / "recipe.toml").write_text('network = "MobileNet"\nalpha = 0.25\n')
    options = ["--batch-size", "4", "--image-size", "32", "--blocks", "2"]
    options += ["--recipe", str(tmp_path / "recipe.toml")]
    options += ["--block-seconds", "0.2", "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["feedbench", "calibrate", "here", *options])
    with pytest.raises(SystemExit, match="0"):
        main()
    here = find_accelerator("here")
    assert (here.network, here.alpha) == ("MobileNet", 0.25)
    assert (here.batch_size, here.image_size) == (4, 32)
    assert here.images_per_second > 0
    assert "2 blocks" in here.source


def test_a_built_in_profile_is_not_replaced_by_a_measurement(monkeypatch, tmp_path, capsys):
    out = tmp_path / "out"
    monkeypatch.setattr(sys, "argv", ["feedbench", "calibrate", "a100", "--out", str(out)])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "'a100' is built in; choose another name, such as my-a100" in capsys.readouterr().err
    assert not out.exists()


@pytest.mark.parametrize(("device", "named"), [("NVIDIA X", "NVIDIA X"), ("CPU", "2 cores of p")])
def test_a_profile_names_the_device_that_was_used(trial, device, named):
    facts = {
        "gpus": ["NVIDIA X"],  # as the driver reports them
        "cores": 2,
        "processor": "p",
        "keras_backend": "tensorflow",
        "packages": {"tensorflow": "2", "keras": "3"},
    }
    rate = median_interval([100.0, 101.0, 102.0])
    spec, recipe = BatchSpec().model_dump(mode="json"), Recipe().model_dump(mode="json")
    timed = trial("synthetic", [100.0], device=device)
    timed = timed.model_copy(update={"spec": spec, "recipe": recipe})
    profile = as_profile(timed, rate, facts)
    assert profile.device == named
    assert profile.images_per_second == 101.0


def test_a_name_in_capitals_is_taken_for_the_one_in_small_letters():
    with pytest.raises(PlanError, match=r"no accelerator 'A100'; did you mean 'a100'\?"):
        find_accelerator("A100")
