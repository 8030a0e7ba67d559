"""The setup of a training is validated, and its held-out images are read once and in order."""

import shutil

import numpy as np
import pytest

from feedbench.bench.analysis.best import Best
from feedbench.bench.errors import PlanError
from feedbench.bench.plan.plan import Failures
from feedbench.bench.training.evaluation import HeldOut
from feedbench.bench.training.setup import TrainingSetup, make_setup
from feedbench.loaders import SourceError, SpecError, scan
from feedbench.trainer import Recipe


def setup_of(photos, loader="tf_data", settings=None, **spec) -> TrainingSetup:
    spec = {"batch_size": 3, "image_size": 32, "augment": {"rotation": 90}, **spec}
    return make_setup(
        Best(loader=loader, settings=settings or {}, spec=spec), Recipe(), scan(photos)
    )


def test_a_batch_with_more_images_than_there_are_is_refused(tiny_photos):
    assert setup_of(tiny_photos, batch_size=48).spec.batch_size == 48
    with pytest.raises(PlanError, match="batch_size 49 is more than the 48 training images"):
        setup_of(tiny_photos, batch_size=49)


@pytest.mark.parametrize(
    ("loader", "settings", "dtype"),
    [("tf_data", {}, "uint8"), ("tf_data", {"output": "float32"}, "float32"),
     ("keras_pil", {}, "float32")],
)  # fmt: skip
def test_the_dtype_of_the_network_is_that_of_the_loader(tiny_photos, loader, settings, dtype):
    assert setup_of(tiny_photos, loader, settings).image_dtype == dtype


def test_held_out_images_to_turn_upright_need_a_scan_too(tiny_photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    photos = shutil.copytree(tiny_photos, "photos")
    (tmp_path / "mine.py").write_text("def one(batch_size): ...\ndef every(split): ...\n")
    assert setup_of(photos, "mine.py:every", orientation="apply").own
    with pytest.raises(SpecError, match="run feedbench scan"):
        setup_of(photos, "mine.py:one", orientation="apply")


def test_model_metadata_describes_images_but_no_batches(tiny_photos):
    metadata = setup_of(tiny_photos).model_metadata
    assert metadata["classes"] == ["circle", "square"]
    assert metadata["image_size"] == 32
    assert not {"batch_size", "augment", "seed"} & metadata.keys()


def read_all(setup: TrainingSetup, split) -> tuple[list[list[int]], list]:
    with HeldOut(setup, Failures()).open(split) as batches:
        read = [(batch.rows.tolist(), np.asarray(batch.images).tolist()) for batch in batches]
    return [rows for rows, _ in read], [images for _, images in read]


def test_held_out_images_come_once_unshuffled_and_not_augmented(tiny_photos):
    rows, images = read_all(setup_of(tiny_photos), "validation")
    assert rows == [[0, 1, 2], [3, 4, 5], [6, 7]]
    assert images == read_all(setup_of(tiny_photos, augment={}), "validation")[1]


def test_an_unreadable_held_out_image_is_left_out_and_listed_once(tiny_photos, tmp_path):
    photos = shutil.copytree(tiny_photos, tmp_path / "photos")
    broken = photos / "test" / "circle" / "1.jpg"
    broken.write_bytes(broken.read_bytes()[:200])
    held_out = HeldOut(setup_of(photos), Failures(on_error="skip", error_budget=0.2))
    for _ in range(2):
        with held_out.open("test") as batches:
            rows = [row for batch in batches for row in batch.rows.tolist()]
        assert sorted(rows) == [0, 2, 3, 4, 5, 6, 7]
    assert [image.path for image in held_out.dropped] == [str(broken)]


def test_a_split_without_images_cannot_be_opened(tiny_photos, tmp_path):
    photos = shutil.copytree(tiny_photos, tmp_path / "photos")
    shutil.rmtree(photos / "test")
    held_out = HeldOut(setup_of(photos), Failures())
    with pytest.raises(SourceError, match="test split"), held_out.open("test"):
        pass
