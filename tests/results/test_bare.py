"""Each bare loop of results/peers gives the images that the loader of the same library gives."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from feedbench.loaders import BatchSpec, open_loader, scan

PEERS = Path(__file__).parents[2] / "results/peers"
SPEC = BatchSpec(batch_size=9, image_size=32, seed=3, interpolation="bilinear")
SIMPLE, PILLOW = {"decoder": "simplejpeg"}, {"decoder": "pillow"}
PACKAGES = {"dali": "nvidia.dali", "hf_datasets": "datasets"}
LOOPS = [
    ("torch", SIMPLE),
    ("torch", PILLOW),
    ("hf_datasets", SIMPLE),
    ("webdataset", SIMPLE),
    ("webdataset", PILLOW),
    ("grain", SIMPLE),
    ("spdl", {"decoder": "ffmpeg"}),
    ("spdl", SIMPLE),
    ("dali", {}),
    ("ffcv", {"write_mode": "raw"}),
    ("ffcv", {"write_mode": "jpg"}),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The one place of the loops: Python loads a module once."""
    folder = tmp_path_factory.mktemp("loops")
    shutil.copy(PEERS / "bare.py", folder)
    return folder


pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries


def images_by_label(name, manifest, spec, settings, batches=None):
    """The bytes of each image, by its label."""
    found = {}
    with open_loader(name, manifest, spec, settings, epochs=None if batches else 1) as stream:
        for number, batch in enumerate(stream, 1):
            for image, label in zip(np.asarray(batch.images), batch.labels, strict=True):
                found.setdefault(int(label), set()).add(image.tobytes())
            if number == batches:
                break
    return found


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        pytest.param(name, settings, marks=pytest.mark.guests(PACKAGES.get(name, name)))
        for name, settings in LOOPS
    ],
    ids=str,
)
def test_a_loop_does_the_same_work_as_the_loader(
    name, settings, class_folder, tar_shards, folder, monkeypatch
):
    monkeypatch.chdir(folder)
    manifest = scan(tar_shards if name == "webdataset" else class_folder, validation=0, test=0)
    spec = SPEC
    if name == "ffcv":  # whose files hold no labels, and whose decoder takes the centre
        settings = {**settings, "pack_dir": "betons"}
        spec = SPEC.model_copy(update={"resize": "crop"})
    expected = images_by_label(name, manifest, spec, settings)
    found = images_by_label(f"bare.py:{name}_loop", manifest, spec, settings, batches=10)
    if name == "ffcv":
        assert set().union(*found.values()) == set().union(*expected.values())
        return
    assert found.keys() == expected.keys()
    assert all(found[label] <= expected[label] for label in expected)
    assert sum(map(len, found.values())) > 9
