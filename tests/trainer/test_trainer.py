"""The trainer: its recipe, its one step, and the full training."""

import csv
import inspect
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import NamedTuple

import keras
import numpy as np
import pytest
from pydantic import ValidationError
from short_network import SHORT

from feedbench.trainer import RUN_AHEAD, NonFiniteLoss, Recipe
from feedbench.trainer import step as step_module
from feedbench.trainer.loop import CheckpointPolicy, Length, fit
from feedbench.trainer.model import build_network
from feedbench.trainer.step import Trainer

SIDE, BATCH, IMAGES = 32, 8, 24
pytestmark = pytest.mark.usefixtures("short_network")


class Labelled(NamedTuple):
    images: np.ndarray
    labels: np.ndarray


def colours(seed: int, size: int = BATCH, scale: float | None = None) -> Labelled:
    """Dark and bright noise: two classes that any network can tell apart."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, size).astype(np.int32)
    pixels = random.integers(0, 100, (size, SIDE, SIDE, 3)) + 150 * labels[:, None, None, None]
    if scale is None:
        return Labelled(pixels.astype(np.uint8), labels)
    return Labelled(pixels.astype(np.float32) * np.float32(scale), labels)


def trainer(image_dtype: str = "uint8", **recipe) -> Trainer:
    recipe = Recipe(**{**SHORT, "epochs": 4, "base_learning_rate": 1.6, **recipe})
    return Trainer(
        recipe,
        image_size=SIDE,
        batch_size=BATCH,
        classes=2,
        images=IMAGES,
        scale=[1 / 255] * 3,
        offset=[0.0] * 3,
        image_dtype=image_dtype,
    )


@pytest.fixture(scope="module")
def trained(short_network) -> Trainer:
    """A trainer after the steps of forty epochs."""
    after = trainer(epochs=40, base_learning_rate=0.4)
    for seed in range(120):
        after.step(colours(seed))
    after.finish()
    return after


@pytest.fixture(scope="module")
def _one_for_all(short_network) -> tuple[Trainer, list[np.ndarray]]:
    one = trainer()
    return one, [np.array(value) for value in one.capture()]


@pytest.fixture
def fresh(_one_for_all) -> Trainer:
    """A trainer before its first step, whose functions were traced for an earlier test."""
    one, values = _one_for_all
    one.restore(0, 0, values)
    return one


@pytest.mark.parametrize(
    "values", [{"alpha": 0}, {"epochs": 0}, {"momentum": 1}, {"batch_norm_momentum": 1}, {"lr": 1}]
)
def test_a_recipe_refuses_invalid_values(values):
    with pytest.raises(ValidationError):
        Recipe(**values)


def test_the_learning_rate_scales_linearly_with_the_batch():
    recipe = Recipe(base_learning_rate=0.4)
    assert [recipe.learning_rate(size) for size in (64, 256, 512)] == [0.1, 0.4, 0.8]


def test_the_learning_rate_rises_to_its_peak_and_decays_to_zero():
    schedule = trainer(warm_up_epochs=1)._model.optimizer._learning_rate
    rates = [float(schedule(step)) for step in range(13)]
    assert rates[:4] == pytest.approx([0.0125, 0.025, 0.0375, 0.05])
    assert all(one > other for one, other in pairwise(rates[3:]))
    assert rates[12] == pytest.approx(0, abs=1e-6)


def test_without_warm_up_the_learning_rate_starts_at_its_peak():
    assert trainer(warm_up_epochs=0).learning_rate == pytest.approx(0.05)


def test_the_momentum_of_batch_normalization_is_the_recipes():
    recipe = Recipe(network="MobileNet", alpha=0.25, batch_norm_momentum=0.8)
    layers = build_network(recipe, SIDE, 2).layers
    norms = [layer for layer in layers if isinstance(layer, keras.layers.BatchNormalization)]
    assert len(norms) > 20
    assert {layer.momentum for layer in norms} == {0.8}


def test_training_learns_to_tell_dark_from_bright(trained):
    trained.start_epoch()
    for seed in range(1_000, 1_020):
        trained.step(colours(seed))
    assert trained.progress()["accuracy"] > 0.8


def test_evaluation_resets_the_running_metrics(trained):
    once = trained.evaluate([colours(7)])
    trained.evaluate([colours(8)])
    assert trained.evaluate([colours(7)]) == pytest.approx(once)


def test_a_short_batch_needs_no_new_trace(trained):
    graph = inspect.getclosurevars(trained._train).nonlocals["function"]
    traces = graph.experimental_get_tracing_count()
    assert traces == 1, "the first step was traced twice: its variables were not there yet"
    trained.step(colours(99, size=5))
    trained.finish()
    assert graph.experimental_get_tracing_count() == traces


def test_pixels_and_images_in_range_train_alike(fresh):
    losses = []
    for one, scale in ((fresh, None), (trainer("float32"), 1 / 255)):
        one.step(colours(3, scale=scale))
        losses.append(one.progress()["loss"])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


def test_a_class_weight_scales_the_loss(fresh):
    bright = Labelled(colours(3).images, np.ones(BATCH, np.int32))
    weighted = trainer()
    weighted._class_weights = (0, 2)
    weighted._enter(0)
    losses = []
    for one in (fresh, weighted):
        one.step(bright)
        losses.append(one.progress()["loss"])
    assert losses[1] == pytest.approx(2 * losses[0], rel=1e-5)


def test_the_saved_model_takes_pixels_and_agrees_with_the_trainer(trained, tmp_path):
    trained.save(tmp_path / "model.keras")
    assert [path.name for path in tmp_path.iterdir()] == ["model.keras"]
    images = colours(5).images
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = trained._model.predict(images, verbose=0)
    assert np.allclose(loaded.predict(images.astype(np.float32), verbose=0), expected, atol=1e-5)


def test_fit_counts_images_per_epoch_and_writes_history_and_checkpoints(trained, tmp_path):
    sizes = []

    def endless() -> Iterator[Labelled]:
        seed = 0
        while True:
            yield colours(seed := seed + 1, size=7)

    @contextmanager
    def held_out() -> Iterator[list[Labelled]]:
        yield [colours(500)]

    epochs = list(
        fit(
            trained,
            endless(),
            length=Length(epochs=3, images=IMAGES),
            validation=held_out,
            checkpoints=CheckpointPolicy(tmp_path),
            on_step=lambda step: sizes.append(step.images),
        )
    )
    # 24 images by sevens: an epoch ends with the batch that holds its last image.
    assert [epoch.images for epoch in epochs] == [28, 21, 28]
    assert sum(sizes) == 77
    assert all(0 <= epoch.wait_s < epoch.train_s for epoch in epochs)
    with (tmp_path / "history.csv").open() as file:
        lines = list(csv.DictReader(file))
    assert [line["epoch"] for line in lines] == ["1", "2", "3"]
    assert float(lines[2]["validation_accuracy"]) == epochs[2].validation_accuracy
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["best.keras", "checkpoint.npz", "history.csv"]


class OneQueue:
    """A device with a single queue, as TensorFlow has one per GPU: a read waits for all in it.

    Attributes:
        reading: one event per step, set when its logs are being read.
        done: one event per step, set when the device has run it.
    """

    def __init__(self) -> None:
        self.reading: list[threading.Event] = []
        self.done: list[threading.Event] = []

    def launch(self, images, labels) -> dict:
        self.reading.append(threading.Event())
        self.done.append(threading.Event())
        return {"loss": _Unread(self, len(self.done) - 1)}


class _Unread:
    def __init__(self, queue: OneQueue, step: int) -> None:
        self.queue, self.step = queue, step

    def __array__(self, dtype=None, copy=None) -> np.ndarray:
        enqueued = list(self.queue.done)
        self.queue.reading[self.step].set()
        assert all(step.wait(120) for step in enqueued), "waits for a step that is not done"
        return np.array(float(self.step))


def test_the_host_prepares_a_batch_while_the_device_runs_steps():
    ahead, queue, batch = trainer(), OneQueue(), colours(0)
    ahead._train = queue.launch
    for step in range(RUN_AHEAD):
        ahead.step(batch)
        assert queue.reading[step].wait(120), "not read until later steps are in the queue too"
    queue.done[0].set()
    ahead.step(batch)  # must not wait for the later steps, which the device has still to run
    assert ahead.latest == {"loss": 0}
    for step in queue.done:
        step.set()
    assert ahead.progress() == {"loss": RUN_AHEAD}


def test_the_learning_rate_is_that_of_the_optimizer_where_steps_overflow():
    half = trainer(mixed_precision="float16", warm_up_epochs=0)
    half._model.optimizer.dynamic_scale.assign(3e38)  # gradients overflow: the step is left out
    half.step(colours(1))
    half.finish()
    assert half.phase_steps == 1
    assert half.learning_rate == pytest.approx(0.05)


def test_the_curve_is_that_of_steps_launched_one_by_one(monkeypatch, fresh):
    """Only the GPU is missing: a real network, whose steps threads copy and launch."""
    names = []
    alone = fresh
    monkeypatch.setattr(step_module, "only_gpu", lambda: "CPU:0")
    ahead = trainer()
    ahead._assign([value.numpy() for value in alone.capture()])

    def launch(batch):
        names.append(threading.current_thread().name)
        return ahead._train_on(batch)

    monkeypatch.setattr(ahead._launcher, "_launch", launch)
    for seed in range(6):
        alone.step(colours(seed))
        ahead.step(colours(seed))
    assert ahead.learning_rate == alone.learning_rate
    assert ahead.progress() == pytest.approx(alone.progress(), rel=1e-4)
    assert len(names) == 5  # the first was launched here
    assert all(name.startswith("feedbench-launch") for name in names)


def test_a_loss_that_is_no_number_is_reported_at_its_step_by_a_launcher(monkeypatch):
    monkeypatch.setattr(step_module, "only_gpu", lambda: "CPU:0")
    broken = trainer("float32")
    good, bad = colours(0, scale=1 / 255), colours(1, scale=float("nan"))
    for batch in (good, good, bad):
        broken.step(batch)
    with pytest.raises(NonFiniteLoss, match="at step 2"):
        broken.finish()
