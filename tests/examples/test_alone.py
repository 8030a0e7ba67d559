"""Each example works without Feedbench, as a script beside the modules that it imports."""

import re
import runpy
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
PIPELINES = [
    "load_img_generator",
    "tf_data_guide",
    "directory_augment",
    "py_dataset",
    "two_inputs",
    pytest.param("torch_loader", marks=pytest.mark.guests("torch")),
    pytest.param("webdataset_shards", marks=pytest.mark.guests("torch", "webdataset")),
]


def test_each_example_is_tried():
    tried = {getattr(one, "values", (one,))[0] for one in PIPELINES}
    scripts = {path.stem for path in EXAMPLES.glob("*.py") if "__main__" in path.read_text()}
    assert tried == scripts


@pytest.fixture
def data(request, photos, tmp_path):
    """The photographs as the pipeline reads them: in folders, or in shards."""
    if request.node.callspec.params["name"] != "webdataset_shards":
        return photos
    for shard in range(2):
        with tarfile.open(tmp_path / f"train-{shard}.tar", "w") as tar:
            for path in sorted((photos / "train").glob("*/*.jpg"))[shard::2]:
                key = f"{path.parent.name}-{path.stem}"
                label = tmp_path / f"{key}.cls"
                label.write_text(str(sorted(photos.glob("train/*")).index(path.parent)))
                tar.add(path, f"{key}.jpg")
                tar.add(label, label.name)
    return tmp_path


@pytest.mark.parametrize("name", PIPELINES)
def test_it_prints_its_rate(name, data, as_script, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [name, str(data)])
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    rate = re.search(r"^([\d,]+) images/s$", capsys.readouterr().out, re.MULTILINE)
    assert rate is not None
    assert int(rate[1].replace(",", "")) > 0


@pytest.mark.parametrize("name", ["train_step", "two_inputs"])
def test_a_model_trains_on_one_batch(name, as_script):
    model = runpy.run_path(str(EXAMPLES / f"{name}.py"))["build"](image_size=32, classes=3)
    images, labels = np.zeros((4, 32, 32, 3), np.float32), np.array([0, 1, 2, 0])
    inputs = {"image": images, "shape": np.ones((4, 2), np.float32)}
    taken = inputs if name == "two_inputs" else images
    logs = model.train_on_batch(taken, labels, return_dict=True)
    assert np.isfinite(logs["loss"])
    assert "accuracy" in logs


def test_efficientnet_computes_in_16_bits_and_answers_in_32(as_script):
    import keras

    policy = keras.config.dtype_policy()
    try:
        model = runpy.run_path(str(EXAMPLES / "efficientnet.py"))["build"](image_size=32, classes=3)
    finally:
        keras.config.set_dtype_policy(policy)
    assert model.get_layer("top_conv").compute_dtype == "bfloat16"
    assert model.output.dtype == "float32"
    assert model.output.shape == (None, 3)
