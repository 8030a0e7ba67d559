"""What one of several workers says of its images, and of those that it could not read."""

import shutil
from types import SimpleNamespace

import numpy as np

from feedbench.bench.cluster.wire import Message
from feedbench.bench.training.team import _fields, _Reporter, _sizes
from feedbench.loaders import Faults, ImageError, Stream, scan
from feedbench.loaders.faults import Tolerance


def error(row):
    return ImageError(f"{row}.jpg", row, "Pillow", "broken")


def test_the_part_of_a_worker_has_the_images_that_it_dropped_itself():
    faults = Faults(Tolerance(skip=True, budget=1, images=10), {1: error(1)})
    told = [Message("dropped", _fields(error(row))) for row in (2, 4)]
    chief = SimpleNamespace(
        cluster=SimpleNamespace(is_chief=True), check=lambda: None, waiting=lambda kind: told
    )
    reporter = _Reporter(chief, Stream(iter(np.arange(1)), faults=faults))
    faults.add(error(4))  # by the chief, and by another worker after it
    reporter.update()
    faults.add(error(5))
    assert [image.row for image in reporter.own_dropped()] == [4, 5]
    assert sorted(faults.dropped) == [1, 2, 4, 5]


def test_other_images_under_the_same_names_are_told_by_their_sizes(splits_folder, tmp_path):
    copy = shutil.copytree(splits_folder, tmp_path / "copy")
    here, there = (scan(folder).only("train") for folder in (splits_folder, copy))
    assert _sizes(here) == _sizes(there)
    image = next((copy / "train").rglob("*.jpg"))
    image.write_bytes(image.read_bytes() + b"other")
    again = scan(copy).only("train")
    assert again.fingerprint() == here.fingerprint()
    assert _sizes(again) != _sizes(here)
