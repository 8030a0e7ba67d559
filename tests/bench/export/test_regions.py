"""Exported code cuts random-resized crops from the ranges of the spec."""

import importlib.util
import subprocess
import sys
from datetime import date

import numpy as np
import pytest

from feedbench.bench.analysis.best import Best
from feedbench.bench.export.module import exported, module_text
from feedbench.loaders import Augment, BatchSpec, SpecError, open_loader, scan
from feedbench.loaders.augment.regions import region_in

CUT = {"random_resized_crop": (0.08, 1)}
ALL = {**CUT, "aspect_ratio": (0.5, 3), "horizontal_flip": True, "rotation": 10}
SPEC = {"batch_size": 10, "image_size": 32, "seed": 3, "value_range": (0, 255)}


def code_of(name, settings, augment, **spec):
    best = Best(loader=name, settings=settings, spec={**SPEC, "augment": augment, **spec})
    return module_text(exported("best.toml", best), None, "pipeline.py", date(2026, 1, 2))


@pytest.fixture
def opened(tmp_path):
    """Returns the exported module of a choice."""

    def module(*choice, **spec):
        path = tmp_path / f"pipeline_{len(list(tmp_path.iterdir()))}.py"
        path.write_text(code_of(*choice, **spec))
        found = importlib.util.spec_from_file_location(path.stem, path)
        module = sys.modules[path.stem] = importlib.util.module_from_spec(found)
        found.loader.exec_module(module)
        return module

    return module


@pytest.mark.parametrize(("height", "width"), [(400, 300), (100, 900)])
def test_regions_are_distributed_as_in_the_loader(opened, height, width):
    import tensorflow as tf

    draw = tf.function(opened("tf_data", {}, CUT).random_region)
    seeds = tf.constant([[5, number] for number in range(600)], tf.int64)
    ours = tf.map_fn(lambda seed: draw([height, width, 3], seed), seeds, tf.int32).numpy()
    crops = Augment(**CUT).draw_crops(5, np.zeros(600, int), np.arange(600))
    theirs = np.array([region_in(height, width, crop) for crop in crops])
    for regions in (ours, theirs):
        assert (regions[:, :2] >= 0).all()
        assert (regions[:, :2] + regions[:, 2:] <= (height, width)).all()
    spread = theirs.std(0) / 600**0.5
    assert (np.abs(ours.mean(0) - theirs.mean(0)) < 5 * spread + 1).all()
    assert (np.abs(ours.std(0) / theirs.std(0) - 1) < 0.2).all()


def test_a_flip_says_nothing_about_the_region(opened):
    import tensorflow as tf

    module = opened("tf_data", {}, {**CUT, "horizontal_flip": True})
    sides = tf.constant([[[0], [1]]])

    @tf.function
    def drawn(seed):
        region = module.random_region([300, 300, 3], seed)
        mirrored = tf.image.stateless_random_flip_left_right(sides, seed)
        return tf.stack([region[2] * region[3], mirrored[0, 0, 0]])

    seeds = tf.constant([[5, number] for number in range(600)], tf.int64)
    areas, flips = tf.map_fn(drawn, seeds, tf.int32).numpy().T
    assert 0.4 < flips.mean() < 0.6
    means = [areas[flips == flip].mean() / 300**2 for flip in (0, 1)]
    assert abs(means[0] - means[1]) < 0.1


@pytest.mark.parametrize(
    ("settings", "spec"),
    [({}, {}), ({"decode": "jpeg", "output": "float32"}, {"interpolation": "bilinear"})],
    ids=str,
)
def test_training_images_are_regions_and_others_are_whole(splits_folder, opened, settings, spec):
    module = opened("tf_data", settings, CUT, resize="crop", **spec)
    batches = [images.numpy() for images, _ in module.make_dataset(splits_folder, epochs=2)]
    assert len({image.tobytes() for image in np.concatenate(batches)}) == 90
    evaluation = BatchSpec(**SPEC, resize="crop", **spec).for_evaluation()
    manifest = scan(splits_folder).only("validation")
    with open_loader("tf_data", manifest, evaluation, settings, epochs=1) as stream:
        for (images, _), batch in zip(
            module.make_dataset(splits_folder, "validation", epochs=1), stream, strict=True
        ):
            assert np.array_equal(images, batch.images)


def test_other_augmentations_follow(splits_folder, opened):
    module = opened("tf_data", {}, ALL)
    first, again = (next(iter(module.make_dataset(splits_folder)))[0].numpy() for _ in range(2))
    assert first.shape == (10, 32, 32, 3)
    assert np.array_equal(first, again)


@pytest.mark.parametrize(
    ("name", "settings", "spec"),
    [
        ("keras_pil", {}, {}),
        ("turbo", {}, {}),
        ("tf_data", {"decode": "scaled"}, {}),
        ("tf_data", {}, {"orientation": "apply"}),
    ],
    ids=str,
)
def test_what_a_few_lines_cannot_do_opens_the_loader(name, settings, spec):
    code = code_of(name, settings, CUT, **spec)
    assert "open_loader(LOADER, manifest, spec, SETTINGS" in code
    assert '"random_resized_crop": (0.08, 1' in code


def test_a_choice_that_cannot_cut_regions_is_refused():
    for name, settings in (("keras_directory", {}), ("tf_data", {"cache": "decoded"})):
        with pytest.raises(SpecError, match=f"{name} cannot cut random-resized crops"):
            code_of(name, settings, CUT)


def test_code_with_regions_is_formatted(tmp_path):
    for number, code in enumerate(
        code_of("tf_data", settings, augment, **spec)
        for settings in ({}, {"decode": "jpeg", "output": "float32"}, {"cache": "encoded"})
        for augment in (CUT, ALL, {**CUT, "horizontal_flip": True})
        for spec in ({}, {"interpolation": "bilinear", "antialias": True, "balance": 0.5})
    ):
        (tmp_path / f"{number}.py").write_text(code)
    ruff = [sys.executable, "-m", "ruff"]
    for command in (
        ["format", "--isolated", "--diff"],
        ["check", "--isolated", "--select", "E,F,I,W,B,PIE,RET,SIM,UP,C4"],
    ):
        done = subprocess.run([*ruff, *command, tmp_path], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
