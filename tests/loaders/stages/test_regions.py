"""The stages of a loader decode and stretch random-resized crops as the loader does."""

import numpy as np
import pytest

from feedbench.loaders import Augment, BatchSpec, find_loader, parse_settings, scan
from feedbench.loaders.augment.regions import region_in
from feedbench.loaders.stages.stage import sample

CUT = Augment(random_resized_crop=(0.08, 1))
SPEC = BatchSpec(batch_size=8, image_size=32, resize="pad", augment=CUT)
pytestmark = pytest.mark.usefixtures("beside_packs")


@pytest.fixture(scope="module")
def manifest(splits_folder):
    return scan(splits_folder).only("train")


def stages_of(name, manifest, settings):
    loader = find_loader(name)
    return loader.stages(manifest, SPEC, parse_settings(loader, settings))


@pytest.mark.parametrize(
    ("name", "settings", "parts"),
    [
        ("turbo", {}, ["decode", "transform"]),
        ("packed", {"pack": "jpeg"}, ["decode", "transform"]),
        ("torch", {"decoder": "opencv"}, ["decode", "transform"]),
        ("grain", {"output": "float32"}, ["decode", "transform", "batch_copy"]),
        ("spdl", {"output": "float32"}, ["decode", "batch_copy"]),
        ("spdl", {"decoder": "simplejpeg"}, ["decode", "transform"]),
        ("keras_pil", {}, ["decode", "transform", "batch_copy"]),
        ("tf_data", {}, ["decode", "transform", "batch_copy"]),
        ("tf_data", {"decode": "scaled", "output": "float32"}, ["decode", "transform"]),
    ],
    ids=str,
)
def test_every_stage_runs_with_regions(manifest, name, settings, parts):
    stages = stages_of(name, manifest, settings)
    for part in parts:
        assert getattr(stages, part)(1)(0.01).images > 0


def test_only_regions_are_decoded(manifest):
    rows, _ = sample(manifest)
    table = manifest.table
    assert len(rows) == len(table)
    crops = CUT.draw_crops(SPEC.seed, 0, np.arange(len(rows)))
    turbo = stages_of("turbo", manifest, {}).decode.__self__
    graph = stages_of("tf_data", manifest, {}).decode.__self__
    whole = stages_of("keras_pil", manifest, {}).decode.__self__
    for index, crop in enumerate(crops):
        picture = whole._decoded(index)
        region = region_in(picture.height, picture.width, crop)
        assert turbo.picture(index).shape == (region.height, region.width, 3)
        assert graph._pictures[index].shape == (region.height, region.width, 3)
        stretched = picture.crop(
            (region.left, region.top, region.left + region.width, region.top + region.height)
        ).resize((32, 32), 0)
        assert np.array_equal(whole._transformed(index), np.asarray(stretched))
