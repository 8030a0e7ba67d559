"""A user's own model is built from their file, or one line says what is wrong with it."""

import hashlib
import importlib
import sys
import zipfile
from textwrap import dedent

import keras
import numpy as np
import pytest

from feedbench.bench.consumers.own_model import build_model, find_builder
from feedbench.bench.consumers.trainer import make_trainer
from feedbench.bench.errors import PlanError
from feedbench.loaders import Batch, BatchSpec, LoaderError, find_loader, scan
from feedbench.trainer import Recipe

MODEL = """
    import keras
    from keras import layers

    import parts

    if __name__ == "__main__":
        raise SystemExit("the main part was run")

    def build(image_size, *, classes=7, width=4):
        inputs = keras.Input((image_size, image_size, 3))
        x = layers.Flatten()(layers.AveragePooling2D(4)(inputs))
        return keras.Model(inputs, layers.Dense(classes)(layers.Dense(width)(x)))

    def seeded(recipe):
        assert keras.config.dtype_policy().name == "mixed_bfloat16"
        return build(8, classes=recipe.epochs)

    def fails():
        return parts.inner()

    def wrong():
        return "model"

    def needs(depth, classes):
        return depth

    class Odd(keras.Model):
        def train_step(self, *arguments):
            raise KeyError("no such key")

    def odd(image_size, classes):
        plain = build(image_size, classes=classes)
        model = Odd(plain.inputs, plain.outputs)
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    def pair(image_size, classes):
        image, side = keras.Input((image_size, image_size, 3)), keras.Input((1,))
        x = layers.Concatenate()([layers.Flatten()(image), side])
        return keras.Model([image, side], layers.Dense(classes)(x))

    class Narrow(keras.Model):
        def __init__(self):
            super().__init__()
            self.head = layers.Dense(3)
            self.head.build((None, 5))

        def call(self, images):
            return self.head(images)

    def narrow():
        model = Narrow()
        model.compile("sgd", "sparse_categorical_crossentropy")
        return model

    def make_dataset(batch_size):
        yield None
    """
PARTS = """
    def inner():
        raise RuntimeError("the [parts] fail")
    """


@pytest.fixture
def beside(tmp_path, monkeypatch):
    """A folder with `model.py` and a module that it imports, which is the working directory."""
    (tmp_path / "model.py").write_text(dedent(MODEL))
    (tmp_path / "parts.py").write_text(dedent(PARTS))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    importlib.invalidate_caches()
    yield tmp_path
    for name in ("model", "parts"):
        sys.modules.pop(name, None)


def built(function, **recipe):
    recipe = Recipe(network=f"model.py:{function}", **recipe)
    return build_model(find_builder(recipe.network), recipe, 16, 3).model


def test_a_function_is_called_with_what_it_names(beside):
    model = built("build")
    assert (model.input_shape, model.output_shape) == ((None, 16, 16, 3), (None, 3))
    assert not model.compiled


def test_seed_and_precision_are_those_of_the_recipe(beside):
    models = [built("seeded", epochs=5, mixed_precision="bfloat16") for _ in range(2)]
    assert {model.compute_dtype for model in models} == {"bfloat16"}
    assert models[0].output_shape == (None, 5)
    one, other = (model.get_weights() for model in models)
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert keras.config.dtype_policy().name == "float32"


def test_the_digest_is_that_of_the_file(beside):
    origin = find_builder("model.py:build").origin
    assert origin.sha256 == hashlib.sha256((beside / "model.py").read_bytes()).hexdigest()
    assert origin.file == str(beside / "model.py")


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ("model.py:fails", r"parts.py, line 3, in inner: RuntimeError: the \[parts\] fail"),
        ("model.py:wrong", "model.py, line .*: wrong returned an object of builtins.str; expected"),
        ("model.py:absent", "model.py: no function 'absent'"),
        ("none.py:build", "none.py: no such file"),
        ("model.py:needs", "needs depth, and a model is built with image_size, classes, recipe"),
        ("none.keras", "--model none.keras: No such file"),
        (
            "torn.keras",
            "--model torn.keras: no zip, as a .keras file is, or it ends too early; save",
        ),
        ("odd.keras", "odd.keras: Keras cannot load it: .*[^.]; if .*--model model.py:build"),
    ],
)
def test_what_is_wrong_with_a_model_is_said_in_one_line(beside, network, said):
    (beside / "torn.keras").write_bytes(b"PK torn")
    with zipfile.ZipFile("odd.keras", "w") as file:
        file.writestr("config.json", "{}")
    with pytest.raises((LoaderError, PlanError), match=said) as error:
        build_model(find_builder(network), Recipe(network=network), 16, 3)
    assert "\n" not in str(error.value)


def test_a_saved_model_keeps_how_it_was_compiled(beside):
    model = built("build")
    model.compile(keras.optimizers.Adam(0.007), "mse", metrics=["mae"])
    model.optimizer.build(model.trainable_variables)
    model.save("saved.keras")
    recipe = Recipe(network="saved.keras")
    loaded = build_model(find_builder("saved.keras"), recipe, 999, 9).model
    assert float(loaded.optimizer.learning_rate) == pytest.approx(0.007)
    assert (loaded.loss, loaded.input_shape) == ("mse", (None, 16, 16, 3))


@keras.saving.register_keras_serializable("tests")
class Twice(keras.layers.Layer):
    def call(self, x):
        return 2 * x


def test_a_saved_model_with_unknown_layers_names_the_way_out(beside, monkeypatch):
    keras.Sequential([keras.Input((4,)), Twice(), keras.layers.Dense(1)]).save("own.keras")
    monkeypatch.setattr(keras.saving, "get_registered_object", lambda *_, **__: None)
    keras.saving.get_custom_objects().pop("tests>Twice", None)
    monkeypatch.delattr(sys.modules[Twice.__module__], "Twice", raising=False)
    with pytest.raises(PlanError, match=r"own\.keras: Keras cannot load it: .*custom_objects"):
        build_model(find_builder("own.keras"), Recipe(network="own.keras"), 4, 1)


def trained(beside, tiny_photos, function, batch, own=None):
    spec = BatchSpec(batch_size=2, image_size=16)
    recipe = Recipe(network=f"model.py:{function}")
    manifest = scan(tiny_photos).only("train")
    trainer = make_trainer(recipe, spec, manifest, "uint8", first=batch, own=own)
    trainer.step(batch)
    return trainer.progress()


IMAGES, LABELS, ROWS = np.ones((2, 16, 16, 3), np.uint8), np.array([0, 1], np.int32), np.arange(2)


def test_a_model_learns_from_the_batches_of_a_loader(beside, tiny_photos):
    logs = trained(beside, tiny_photos, "build", Batch(IMAGES, LABELS, ROWS))
    assert logs.keys() == {"loss", "accuracy"}


def test_several_inputs_come_from_an_own_loader(beside, tiny_photos):
    own = find_loader("model.py:make_dataset").own
    batch = Batch((IMAGES.astype("f4"), np.ones((2, 1))), LABELS, None)
    assert trained(beside, tiny_photos, "pair", batch, own)["loss"] > 0


@pytest.mark.parametrize(
    ("function", "images", "labels", "said"),
    [
        ("build", IMAGES.transpose(0, 3, 1, 2), LABELS, "images that are uint8 [2, 3, 16, 16]; the "
         "model takes [batch, 16, 16, 3]"),
        ("build", IMAGES, LABELS + 1, "labels that are int32 [2] of 1 to 2; the model has 2 "
         "outputs, so that classes are 0 to 1"),
        ("pair", (IMAGES, IMAGES), LABELS, "images[1] that are uint8 [2, 16, 16, 3]; the model "
         "takes [batch, 1]"),
    ],
)  # fmt: skip
def test_a_batch_that_does_not_fit_is_the_fault_of_the_loader(
    beside, tiny_photos, function, images, labels, said
):
    own = find_loader("model.py:make_dataset").own
    with pytest.raises(PlanError) as error:
        trained(beside, tiny_photos, function, Batch(images, labels, None), own)
    line = find_builder(f"model.py:{function}").function.line
    change = f"change these, or the model (model.py, line {line}: {function})"
    assert str(error.value) == f"{own.place}: make_dataset gives {said}; {change}"


def later_step(beside, tiny_photos, images, labels):
    """Train on a batch that fits, then on this one."""
    own = find_loader("model.py:make_dataset").own
    spec, recipe = BatchSpec(batch_size=2, image_size=16), Recipe(network="model.py:build")
    manifest, first = scan(tiny_photos).only("train"), Batch(IMAGES, LABELS, None)
    trainer = make_trainer(recipe, spec, manifest, "uint8", first=first, own=own)
    trainer.step(first)
    trainer.step(Batch(images, labels, None))


def test_a_later_batch_that_a_step_refuses_is_looked_at_too(beside, tiny_photos):
    with pytest.raises(PlanError, match=r"make_dataset gives images that are uint8 \[2, 8, 8, 3\]"):
        later_step(beside, tiny_photos, IMAGES[:, :8, :8], LABELS)


@pytest.mark.skipif(keras.backend.backend() == "jax", reason="JAX takes any number for a class")
def test_a_later_class_that_a_step_refuses_is_looked_at_too(beside, tiny_photos):
    with pytest.raises(PlanError, match=r"make_dataset gives labels that are int32 .* of 5 to 6"):
        later_step(beside, tiny_photos, IMAGES, LABELS + 5)


def test_an_error_in_a_train_step_names_the_users_line(beside, tiny_photos):
    with pytest.raises(
        LoaderError, match=r"^model\.py, line \d+, in train_step: KeyError"
    ) as error:
        trained(beside, tiny_photos, "odd", Batch(IMAGES, LABELS, ROWS))
    assert "step 1" in str(error.value)
    assert "feedbench" not in error.value.details


def test_an_error_in_a_layer_says_what_keras_found(beside, tiny_photos):
    words = r"^model\.py, line \d+, in call: ValueError: Exception .* Narrow.* Input 0 .* axis -1"
    with pytest.raises(LoaderError, match=words) as error:
        trained(beside, tiny_photos, "narrow", Batch(IMAGES, LABELS, ROWS))
    assert "\n" not in str(error.value)


def test_memory_that_runs_out_is_no_fault_of_the_users_code(beside, tiny_photos, monkeypatch):
    def out_of_memory(*_):
        raise ValueError("RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes")

    monkeypatch.setattr("feedbench.trainer.compiled.CompiledSteps.train", out_of_memory)
    with pytest.raises(ValueError, match="RESOURCE_EXHAUSTED"):
        trained(beside, tiny_photos, "build", Batch(IMAGES, LABELS, ROWS))
