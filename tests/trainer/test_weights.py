"""Initial weights: of the same network with any classes, or an error that says why not."""

import socket
import zipfile
from functools import cache

import keras
import numpy as np
import pytest

from feedbench.trainer import Recipe
from feedbench.trainer.errors import WeightsError
from feedbench.trainer.model import build_network, construct, with_range
from feedbench.trainer.saved_model import load_model, read_facts, save_model
from feedbench.trainer.step import Trainer
from feedbench.trainer.weights import load_into, warnings

BOTH_SIGNS = [2 / 255] * 3, [-1.0] * 3  # scale and offset of the range -1 to 1
SIDE = 32
SMALL = {"alpha": 0.35, "epochs": 4}


@pytest.fixture(scope="module")
def donor():
    """A network of five classes with weights of its own."""
    network = build_network(Recipe(**SMALL, seed=7), SIDE, 5)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.moving_variance.assign(
                layer.moving_variance * 0.1
            )  # or the outputs would all be alike
    return network


@pytest.fixture(scope="module")
def files(donor, tmp_path_factory):
    folder = tmp_path_factory.mktemp("weights")
    model = with_range(donor, *BOTH_SIGNS, "float32")
    facts = {"classes": list("abcde"), "value_range": [-1.0, 1.0]}
    save_model(model, folder / "model.keras", facts)
    donor.save_weights(folder / "all.weights.h5")
    return folder


@pytest.mark.parametrize("name", ["model.keras", "all.weights.h5"])
def test_all_layers_but_the_head_get_the_files_weights(donor, files, name):
    recipe = Recipe(**SMALL, weights=str(files / name))
    network = build_network(recipe, SIDE, 3)
    fresh = np.array(network.layers[-1].kernel)
    load_into(network, recipe, SIDE)
    for here, there in zip(network.layers[:-1], donor.layers[:-1], strict=True):
        for one, other in zip(here.get_weights(), there.get_weights(), strict=True):
            assert np.array_equal(one, other)
    assert np.array_equal(network.layers[-1].kernel, fresh)
    assert network.output_shape == (None, 3)


@pytest.fixture(scope="module")
def built():
    """A function: a network by its recipe, built once; for tests that leave it as it is."""
    return cache(lambda **values: build_network(Recipe(**values), SIDE, 3))


@pytest.mark.parametrize(
    ("weights", "values", "message"),
    [
        ("{}/model.keras", {"alpha": 0.5}, "set network and alpha"),
        ("{}/model.keras", {"network": "MobileNet", "alpha": 0.25}, "no layer"),
        ("{}/all.weights.h5", {"alpha": 0.5}, "not of MobileNetV2 with alpha 0.5"),
        ("{}/none.keras", {}, "no such file"),
        ("vgg", {}, "must be none, imagenet, or"),
    ],
)
def test_weights_of_another_network_are_refused_in_one_line(built, files, weights, values, message):
    network = built(**{**SMALL, **values})
    recipe = Recipe(**{**SMALL, **values}, weights=weights.format(files))
    with pytest.raises(WeightsError, match=message) as raised:
        load_into(network, recipe, SIDE)
    assert "\n" not in str(raised.value)


def test_a_file_that_is_not_a_model_is_named(tmp_path):
    path = tmp_path / "text.keras"
    path.write_text("text")
    with pytest.raises(WeightsError, match=r"text\.keras"):
        load_model(path)
    with pytest.raises(WeightsError, match=r"text\.keras: not a \.keras file"):
        read_facts(path)


def test_imagenet_weights_without_a_connection_fail_at_once_with_a_remedy(
    built, monkeypatch, tmp_path
):
    attempts = []

    def unreachable(*address, **_):
        attempts.append(address)
        raise OSError("no network")

    monkeypatch.setattr("feedbench.trainer.weights.keras_home", lambda: tmp_path)
    monkeypatch.setattr("feedbench.trainer.weights.getproxies", dict)
    monkeypatch.setattr(socket, "create_connection", unreachable)
    recipe = Recipe(**SMALL, weights="imagenet")
    with pytest.raises(WeightsError, match="give a file with --weights FILE") as raised:
        load_into(built(**SMALL), recipe, SIDE)
    assert str(tmp_path / "models") in str(raised.value)
    assert "\n" not in str(raised.value)
    assert len(attempts) == 1
    assert socket.getdefaulttimeout() is None


def test_a_value_range_other_than_that_of_the_weights_gives_a_warning(files):
    recipe = Recipe(**SMALL, weights=str(files / "model.keras"))
    assert warnings(recipe, (-1.0, 1.0), *BOTH_SIGNS) == []
    (warning,) = warnings(recipe, (0.0, 1.0), [1 / 255] * 3, [0.0] * 3)
    assert "value_range [-1.0, 1.0], this run has [0.0, 1.0]" in warning


def test_imagenet_weights_without_their_preprocessing_give_a_warning():
    recipe = Recipe(weights="imagenet")
    assert warnings(recipe, (-1.0, 1.0), *BOTH_SIGNS) == []
    assert "black at (-1, -1, -1)" in warnings(recipe, (0.0, 1.0), [1 / 255] * 3, [0.0] * 3)[0]


def test_keras_can_load_a_saved_model_that_holds_facts(files):
    assert read_facts(files / "model.keras")["classes"] == list("abcde")
    assert keras.saving.load_model(files / "model.keras").output_shape == (None, 5)
    with zipfile.ZipFile(files / "model.keras") as archive:
        assert archive.testzip() is None


def test_the_first_phase_trains_only_the_head_and_the_next_more(files):
    recipe = Recipe(**SMALL, weights=str(files / "model.keras"), frozen_epochs=1, warm_up_epochs=0)
    trainer = Trainer(
        recipe,
        image_size=SIDE,
        batch_size=4,
        classes=2,
        images=8,
        scale=BOTH_SIGNS[0],
        offset=BOTH_SIGNS[1],
        image_dtype="uint8",
    )
    random = np.random.default_rng(0)

    class OneBatch:
        images = random.integers(0, 256, (4, SIDE, SIDE, 3), np.uint8)
        labels = np.array([0, 1, 0, 1], np.int32)

    def changed_weights() -> set[str]:
        before = [np.array(w) for w in trainer._network.weights]
        trainer.step(OneBatch())
        trainer.finish()
        pairs = zip(trainer._network.weights, before, strict=True)
        return {w.path for w, was in pairs if not np.array_equal(w, was)}

    assert changed_weights() == {"predictions/kernel", "predictions/bias"}
    assert [trainer.phase_at(epoch) for epoch in (1, 2, 4)] == [0, 1, 1]
    trainer.enter(1)
    changed = changed_weights()
    assert "Conv1/kernel" in changed
    assert not any("moving" in path for path in changed)


def same_weights(ours, theirs) -> bool:
    pairs = zip(ours.weights, theirs.weights, strict=True)
    return all(np.array_equal(one, other) for one, other in pairs)


def test_imagenet_weights_fit_a_network_whose_layers_keras_names(monkeypatch):
    recipe = Recipe(network="Xception", weights="imagenet")
    network, donors = build_network(recipe, 71, 3), []

    def fresh(recipe, size, weights, include_top):  # what Keras builds, without its download
        donors.append(
            construct(
                recipe.model_copy(update={"seed": 9}), size, weights=None, include_top=include_top
            )
        )
        return donors[0]

    monkeypatch.setattr("feedbench.trainer.weights.construct", fresh)
    load_into(network, recipe, 71)
    ours, theirs = ([layer for layer in one.layers if layer.weights] for one in (network, *donors))
    assert {layer.name for layer in ours[:-1]} != {layer.name for layer in theirs}
    assert all(same_weights(*pair) for pair in zip(ours[:-1], theirs, strict=True))


def unnamed(filters: int, classes: int) -> keras.Model:
    """A network that leaves the names of its layers to Keras."""
    images = keras.Input((8, 8, 3))
    left, right = (keras.layers.Conv2D(filters, size)(images) for size in (1, 3))
    pooled = [keras.layers.GlobalAveragePooling2D()(one) for one in (left, right)]
    return keras.Model(images, keras.layers.Dense(classes)(keras.layers.Concatenate()(pooled)))


def test_a_saved_network_whose_layers_keras_names_gives_its_weights_in_order(tmp_path):
    recipe = Recipe(weights=str(tmp_path / "saved.keras"))
    unnamed(4, 2).save(tmp_path / "saved.keras")
    saved, network = load_model(tmp_path / "saved.keras"), unnamed(4, 3)
    load_into(network, recipe, 8)
    pairs = zip(network.layers[:-1], saved.layers[:-1], strict=True)
    assert all(same_weights(*pair) for pair in pairs)
    with pytest.raises(WeightsError, match="no layer conv2d"):
        load_into(unnamed(5, 3), recipe, 8)
