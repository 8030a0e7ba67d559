"""What cannot run on these images or this machine is refused before anything starts."""

import re
from types import SimpleNamespace

import pytest

from feedbench.bench.errors import PlanError
from feedbench.bench.trials import feasibility
from feedbench.bench.trials.feasibility import check_feasible, may_be_large
from feedbench.loaders import BatchSpec, scan
from feedbench.trainer import Recipe, TrainerError
from feedbench.trainer.errors import RecipeError


@pytest.fixture
def rows(tiny_photos):
    return scan(tiny_photos).only("train")


def test_a_batch_larger_than_the_data_is_refused(rows):
    check_feasible(BatchSpec(batch_size=48), rows, ["turbo"])
    with pytest.raises(PlanError, match="batch_size 49 is more than the 48 training images"):
        check_feasible(BatchSpec(batch_size=49), rows, ["turbo"])


@pytest.mark.parametrize("images", [1, 2, 3, 48, 160, 191])
def test_the_batch_size_that_is_proposed_fits_twice_if_that_is_possible(images):
    rows = range(images)
    with pytest.raises(PlanError, match="use a smaller one") as refused:
        check_feasible(BatchSpec(), rows, ["turbo"])
    proposed = int(re.search(r"such as --batch-size (\d+)", str(refused.value))[1])
    check_feasible(BatchSpec(batch_size=proposed), rows, ["turbo"])
    assert proposed == 1 or 2 * proposed <= images < 4 * proposed


def test_two_batches_larger_than_the_memory_are_refused(rows, monkeypatch):
    monkeypatch.setattr(feasibility, "available_memory", lambda: 2 * 8 * 100**2 * 3)
    check_feasible(BatchSpec(batch_size=8, image_size=100), rows, ["turbo"])
    with pytest.raises(PlanError, match="lower --batch-size or --image-size"):
        check_feasible(BatchSpec(batch_size=8, image_size=101), rows, ["turbo"])


def test_a_compiled_step_that_moves_pixels_is_refused(rows):
    def check(jit_compile, **augment):
        spec = BatchSpec(batch_size=8, augment={"rotation": 5, "contrast": 0.1, **augment})
        check_feasible(spec, rows, ["turbo"], Recipe(jit_compile=jit_compile))

    check(True)
    check(True, on_device=["contrast"])
    check(False, on_device=["rotation"])
    with pytest.raises(RecipeError, match="jit_compile: XLA cannot compile rotation"):
        check(True, on_device=["rotation"])


@pytest.mark.parametrize(
    ("recipe", "side", "message"),
    [
        ({"network": "ResNet50", "alpha": 0.5}, 32, "alpha: ResNet50 has none, got 0.5"),
        ({"network": "Xception"}, 70, "image_size: Xception takes images of at least 71 px"),
        ({"network": "EfficientNetB0"}, 32, "EfficientNetB0 has its own value range"),
    ],
)
def test_a_recipe_that_every_trial_would_refuse_is_refused(rows, recipe, side, message):
    spec = BatchSpec(batch_size=8, image_size=side)
    check_feasible(spec, rows, ["turbo"], Recipe())
    with pytest.raises(TrainerError, match=message):
        check_feasible(spec, rows, ["turbo"], Recipe(**recipe))


@pytest.mark.parametrize(
    ("consumer", "batch_size", "network", "large"),
    [
        ("train", 64, "MobileNetV2", False),
        ("train", 65, "MobileNetV2", True),
        ("train", 8, "net.py:build", True),
        ("drain", 1024, "MobileNetV2", False),
        ("emulated:a100", 1024, "MobileNetV2", False),
    ],
)
def test_only_a_trainer_may_take_much_memory(consumer, batch_size, network, large):
    plan = SimpleNamespace(
        consumer=consumer,
        spec=BatchSpec(batch_size=batch_size, image_size=96),
        recipe=Recipe(network=network),
    )
    assert may_be_large(plan) is large
