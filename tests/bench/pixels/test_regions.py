"""The comparison of pixels includes random-resized crops."""

import pytest

from feedbench.bench.pixels.compare import compare
from feedbench.bench.plan.plan import Choice
from feedbench.loaders import Augment, BatchSpec, scan
from feedbench.loaders.augment.regions import Region, region_in
from feedbench.loaders.images import pillow

SPEC = BatchSpec(
    batch_size=15,
    image_size=48,
    augment=Augment(random_resized_crop=(0.08, 1), horizontal_flip=True, rotation=20),
)
CHOICES = [
    Choice(loader="keras_pil"),
    Choice(loader="turbo"),
    Choice(loader="tf_data", settings={"decode": "jpeg"}),
]


@pytest.fixture(scope="module")
def manifest(splits_folder):
    return scan(splits_folder).only("train")


def test_loaders_that_cut_the_same_regions_agree(manifest):
    _, turbo, tf_data = compare(CHOICES, manifest, SPEC).loaders
    assert turbo.identical == 1
    assert turbo.within
    assert tf_data.within
    assert tf_data.worst_mean < 1


def test_a_loader_that_cuts_elsewhere_differs(manifest, monkeypatch):
    def beside(height, width, crop):
        region = region_in(height, width, crop)
        return Region(region.top // 2, region.left, region.height, region.width)

    monkeypatch.setattr(pillow, "region_in", beside)  # by which keras_pil cuts
    turbo = compare(CHOICES[:2], manifest, SPEC).loaders[1]
    assert not turbo.within
    assert turbo.worst[0].reason == ""
