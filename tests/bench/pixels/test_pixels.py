"""Loaders are compared pixel by pixel, and differences are explained."""

import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.errors import TrialError
from feedbench.bench.pixels.check import check_pixels
from feedbench.bench.pixels.compare import compare
from feedbench.bench.pixels.messages import PixelJob
from feedbench.bench.pixels.reasons import find_reason
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import SamePixels
from feedbench.loaders import BatchSpec, LoaderError, scan
from feedbench.loaders.images.pillow import fitted, picture

SPEC = BatchSpec(batch_size=8, image_size=32)
PIL = Choice(loader="keras_pil")
JPEG = Choice(loader="tf_data", settings={"decode": "jpeg"})
SCALED = Choice(loader="tf_data", settings={"decode": "scaled"})


@pytest.fixture(scope="module")
def detailed(tmp_path_factory):
    """A folder of photos full of detail, with chroma subsampling as in cameras."""
    root = tmp_path_factory.mktemp("detailed")
    (root / "any").mkdir()
    random = np.random.default_rng(0)
    for number in range(8):
        noise = random.integers(0, 256, (70, 90, 3), np.uint8)
        image = Image.fromarray(noise).resize((180, 140), Image.Resampling.BICUBIC)
        image.save(root / "any" / f"{number}.jpg", quality=90)
    return root


@pytest.fixture(scope="module")
def manifest(detailed):
    return scan(detailed, validation=0, test=0)


def test_equal_pixels_are_identical_and_differences_are_explained(manifest):
    drawn = {}
    comparison = compare(
        [PIL, JPEG, SCALED],
        manifest,
        SPEC,
        explain=find_reason,
        draw=lambda name, worst, images, reference: drawn.update({name: images.shape}),
    )
    first, same, scaled = comparison.loaders
    assert comparison.reference == "keras_pil"
    assert first.within
    assert same.within
    assert same.identical == 1
    assert not same.worst
    assert scaled.within is False
    assert scaled.identical == 0
    assert scaled.worst_mean >= scaled.mean > 3
    assert {image.reason for image in scaled.worst} == {"scaled decoding"}
    assert scaled.worst[0].path.startswith("any/")
    assert drawn["tf_data decode=scaled"] == (8, 32, 32, 3)


def test_the_first_loader_that_does_not_fail_is_the_reference(manifest):
    smooth = SPEC.model_copy(update={"interpolation": "bilinear", "antialias": True})
    comparison = compare([Choice(loader="keras_directory"), PIL, JPEG], manifest, smooth)
    assert "cannot antialias" in comparison.loaders[0].error
    assert comparison.loaders[0].within is None
    assert comparison.reference == "keras_pil"
    with pytest.raises(LoaderError, match="cannot antialias"):
        compare([Choice(loader="keras_directory")], manifest, smooth)


def test_a_file_that_all_loaders_skip_is_not_a_difference(detailed, tmp_path):
    photos = shutil.copytree(detailed, tmp_path / "photos")
    manifest = scan(photos, validation=0, test=0)
    (photos / "any" / "3.jpg").write_bytes(b"text")
    comparison = compare([PIL, JPEG], manifest, SPEC, on_error="skip")
    assert comparison.loaders[1].identical == 1
    with pytest.raises(LoaderError, match="row 3"):
        compare([PIL, JPEG], manifest, SPEC)


def saved(path, image, **options):
    image.save(path, **options)
    return str(path)


def decoded(path, spec):
    return np.asarray(fitted(picture(path, spec), spec))


def test_each_cause_of_a_difference_is_found(detailed, tmp_path):
    photo = Image.open(detailed / "any" / "0.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    rotated = saved(tmp_path / "rotated.jpg", photo, exif=exif)
    with_alpha = photo.convert("RGBA")
    with_alpha.putalpha(photo.convert("L"))
    transparent = saved(tmp_path / "transparent.png", with_alpha)
    grey = np.asarray(photo.convert("L")).astype(np.uint16) * 200
    deep = saved(tmp_path / "deep.png", Image.fromarray(grey))
    plain = saved(tmp_path / "plain.png", photo)
    bilinear = SPEC.model_copy(update={"interpolation": "bilinear"})
    smooth = bilinear.model_copy(update={"antialias": True})
    upright = SPEC.model_copy(update={"orientation": "apply"})
    with Image.open(transparent) as image:
        no_alpha = np.asarray(fitted(image.convert("RGB"), SPEC))
    cut = np.asarray(fitted(Image.fromarray(np.minimum(grey, 255).astype(np.uint8)), SPEC))
    cut = np.repeat(cut[..., None], 3, -1) if cut.ndim == 2 else cut
    for path, spec, other, name in (
        (rotated, SPEC, decoded(rotated, upright), "orientation"),
        (plain, SPEC, decoded(plain, bilinear), "resize filter"),
        (plain, bilinear, decoded(plain, smooth), "antialiasing"),
        (transparent, SPEC, no_alpha, "alpha"),
        (deep, SPEC, cut, "depth"),
        (plain, SPEC, np.full((32, 32, 3), 9, np.uint8), "unknown"),
    ):
        image = decoded(path, spec)
        assert find_reason(path, spec, image, other) == name
        assert find_reason(path, spec, other, image) == name
    assert find_reason(plain, SPEC, image, image ^ 1) == "rounding"


@pytest.mark.parametrize(
    ("options", "name"),
    [({"dct_method": "INTEGER_FAST"}, "inverse DCT"), ({"fancy_upscaling": False}, "chroma")],
)
def test_options_of_the_decoder_are_distinguished(detailed, options, name):
    import tensorflow as tf

    path = str(detailed / "any" / "1.jpg")
    all_options = {"dct_method": "INTEGER_ACCURATE", **options}
    data = (detailed / "any" / "1.jpg").read_bytes()
    other = Image.fromarray(tf.io.decode_jpeg(data, 3, **all_options).numpy())
    reason = find_reason(path, SPEC, np.asarray(fitted(other, SPEC)), decoded(path, SPEC))
    assert reason.startswith(name)


def test_a_check_in_a_child_process_draws_the_worst_images(manifest, tmp_path):
    path, sheet, names = tmp_path / "m.parquet", tmp_path / "worst.png", []
    manifest.write(path)
    job = PixelJob(
        choices=[PIL, SCALED], manifest=path, spec=SPEC, images=5, worst_images=2, sheet=sheet
    )
    comparison = check_pixels(job, tmp_path / "log", on_reading=names.append)
    assert names == ["keras_pil", "tf_data decode=scaled"]
    assert comparison.images == 5
    assert len(comparison.loaders[1].worst) == 2
    with Image.open(sheet) as image:
        assert image.format == "PNG"
        assert image.width > 3 * 160
        assert image.height > 2 * 160
    with pytest.raises(TrialError, match=r"time limit: the pixel check .* 0.1 s"):
        check_pixels(job, tmp_path / "log", limit_s=0.1)


def feedbench(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "feedbench.bench.cli", *map(str, arguments)],
        text=True,
        check=False,
        capture_output=True,
        env={**os.environ, "COLUMNS": "200"},
    )


def test_bench_ranks_other_pixels_only_if_allowed(detailed, tmp_path):
    options = [
        "bench",
        detailed,
        "--consumer",
        "drain",
        "--loader",
        "turbo",
    ]
    options += ["--set", "turbo.decode=full,scaled", "--image-size", 32, "--batch-size", 4]
    options += ["--blocks", 2, "--block-seconds", 0.2, "--warm-up-seconds", 0.2]
    done = feedbench(*options, "--out", tmp_path / "strict")
    assert done.returncode == 0, done.stderr
    assert "Other pixels than turbo decode=full: turbo decode=scaled" in done.stderr
    assert "levels, not ranked)" in done.stdout
    summary = json.loads((tmp_path / "strict" / "summary.json").read_text())
    ranked = {str(trial["settings"]): trial["ranked"] for trial in summary["trials"]}
    assert ranked == {"{'decode': 'full'}": True, "{'decode': 'scaled'}": False}
    done = feedbench(*options, "--allow-different-pixels", "--out", tmp_path / "all")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "all" / "summary.json").read_text())
    assert all(trial["ranked"] for trial in summary["trials"])
    assert "levels)" in done.stdout


def test_a_loader_with_other_pixels_wins_only_if_allowed(trial):
    slow, fast = trial("keras_pil", [100, 101, 99]), trial("tf_data", [200, 201, 199])
    different = SamePixels(
        reference="keras_pil", tolerance=3, worst_mean=9, within=False, allowed=False
    )
    fast = fast.model_copy(update={"pixels": different})
    assert summarize([slow, fast]).winner == 0
    fast = fast.model_copy(update={"pixels": different.model_copy(update={"allowed": True})})
    assert summarize([slow, fast]).winner == 1
    assert summarize([slow, fast]).trials[1].other_pixels == 9


def test_the_command_names_the_reason_and_exits_with_1(detailed, tmp_path):
    result = tmp_path / "p.json"
    options = ["--loader", "keras_pil", "--loader", "tf_data", "--image-size", 32, "--json", result]
    done = feedbench("pixels", detailed, *options, "--set", "tf_data.decode=scaled")
    assert done.returncode == 1, done.stderr
    assert "scaled decoding" in done.stdout
    assert json.loads(result.read_text())["loaders"][1]["within"] is False
    wrong = feedbench("pixels", detailed, "--loader", "keras_pil")
    assert wrong.returncode == 2
    assert "name another to compare it with" in wrong.stderr


def test_without_loader_all_that_open_by_default_are_compared(tiny_photos, tmp_path):
    result = tmp_path / "p.json"
    done = feedbench("pixels", tiny_photos, "--images", 4, "--image-size", 32, "--json", result)
    assert result.exists(), done.stderr
    compared = [loader["loader"] for loader in json.loads(result.read_text())["loaders"]]
    assert compared == ["keras_pil", "keras_directory", "tf_data", "turbo"]
