"""SPDL: FFmpeg's pixels, near those of Pillow, or another decoder's; its filters; its threads."""

import shutil
import threading

import numpy as np
import pytest
from PIL import Image

from feedbench.loaders import (
    LOADERS,
    BatchSpec,
    ImageError,
    SpecError,
    open_loader,
    parse_settings,
    scan,
)

pytestmark = pytest.mark.guests("spdl")

SPEC = BatchSpec(batch_size=8, image_size=32, seed=3, interpolation="bilinear")


@pytest.fixture(scope="module")
def manifest(class_folder):
    return scan(class_folder, validation=0, test=0)


def images_of(name, manifest, spec, settings=None):
    with open_loader(name, manifest, spec, settings, epochs=1) as stream:
        batches = [(np.array(images), rows) for images, _, rows in stream]
    rows = np.concatenate([rows for _, rows in batches])
    return rows.tolist(), np.concatenate([images for images, _ in batches]).astype(np.float32)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize(
    ("interpolation", "antialias"), [("nearest", False), ("bilinear", False), ("bilinear", True)]
)
def test_its_pixels_are_near_those_of_turbo(manifest, resize, interpolation, antialias):
    spec = BatchSpec(
        batch_size=8,
        image_size=32,
        resize=resize,
        interpolation=interpolation,
        antialias=antialias,
    )
    rows, images = images_of("spdl", manifest, spec)
    expected_rows, expected = images_of("turbo", manifest, spec)
    assert rows == expected_rows
    assert np.abs(images - expected).mean() < 6


def test_an_image_whose_side_rounding_makes_shorter_is_padded_as_by_turbo(tmp_path):
    (tmp_path / "any").mkdir()
    Image.new("RGB", (56, 35), (200, 200, 200)).save(tmp_path / "any" / "some.png")
    spec = BatchSpec(batch_size=1, image_size=96, resize="pad")  # 35 / (56 / 96) is 59.99...
    manifest = scan(tmp_path, validation=0, test=0)
    (_, images), (_, expected) = (images_of(name, manifest, spec) for name in ("spdl", "turbo"))
    assert np.array_equal(images == 0, expected == 0)


@pytest.mark.parametrize("decoder", ["pillow", "opencv", "simplejpeg"])
def test_with_another_decoder_its_pixels_are_those_of_turbo(manifest, decoder):
    rows, images = images_of("spdl", manifest, SPEC, {"decoder": decoder})
    expected_rows, expected = images_of("turbo", manifest, SPEC)
    assert rows == expected_rows
    assert np.array_equal(images, expected)


@pytest.mark.parametrize(("decoder", "has_transform"), [("ffmpeg", False), ("simplejpeg", True)])
def test_its_parts_run_alone_with_each_decoder(manifest, decoder, has_transform):
    settings = parse_settings(LOADERS["spdl"], {"decoder": decoder})
    stages = LOADERS["spdl"].stages(manifest, SPEC, settings)
    assert stages.concurrency.kind == "threads"
    assert stages.decode(2)(0.01).images >= 1
    assert (stages.transform is not None) == has_transform


def test_upright_photographs_are_refused_by_ffmpeg_alone(manifest, with_facts):
    spec = SPEC.model_copy(update={"orientation": "apply"})
    facts = with_facts(manifest)
    with pytest.raises(SpecError, match="spdl cannot turn photos upright with decoder=ffmpeg"):
        open_loader("spdl", facts, spec)
    rows, images = images_of("spdl", facts, spec, {"decoder": "simplejpeg"})
    expected_rows, expected = images_of("turbo", facts, spec)
    assert rows == expected_rows
    assert np.array_equal(images, expected)


@pytest.mark.parametrize(("decoder", "named"), [("ffmpeg", "FFmpeg"), ("simplejpeg", "Pillow")])
def test_a_file_that_cannot_be_read_is_named(class_folder, tmp_path, decoder, named):
    manifest = scan(shutil.copytree(class_folder, tmp_path / "photos"), validation=0, test=0)
    for row in (11, 12):
        with open(manifest.path(row), "wb") as file:  # noqa: PTH123
            file.write(b"not a photograph" if row == 11 else b"")
    with (
        open_loader("spdl", manifest, SPEC, {"decoder": decoder}, epochs=1) as stream,
        pytest.raises(ImageError, match=rf": row 1[12]: {named} cannot read it: [^\n]*$"),
    ):
        list(stream)
    options = {"epochs": 1, "on_error": "skip", "error_budget": 0.1}
    with open_loader("spdl", manifest, SPEC, {"decoder": decoder}, **options) as stream:
        assert sum(len(batch.rows) for batch in stream) == len(manifest)
        assert {fault.row for fault in stream.dropped} == {11, 12}


def test_closing_ends_its_threads_also_before_the_first_batch(manifest):
    threads = set(threading.enumerate())
    with open_loader("spdl", manifest, SPEC) as stream:
        for _ in range(20):
            next(stream)
    with open_loader("spdl", manifest, SPEC):
        pass
    assert set(threading.enumerate()) <= threads
