"""Loaders are held against each other pixel by pixel, and a difference is explained."""

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
from feedbench.bench.pixels.reasons import reason
from feedbench.bench.plan.plan import Choice
from feedbench.bench.record import SamePixels
from feedbench.loaders import BatchSpec, LoaderError, scan
from feedbench.loaders.images.pillow import fitted, picture

SPEC = BatchSpec(batch_size=8, image_size=32)
PIL = Choice(loader="keras_pil")
JPEG = Choice(loader="tf_data", settings={"decode": "jpeg"})
SCALED = Choice(loader="tf_data", settings={"decode": "scaled"})


@pytest.fixture(scope="module")
def busy(tmp_path_factory):
    """A class of photographs full of detail, subsampled in colour as cameras do it."""
    root = tmp_path_factory.mktemp("busy")
    (root / "any").mkdir()
    random = np.random.default_rng(0)
    for number in range(8):
        noise = random.integers(0, 256, (70, 90, 3), np.uint8)
        image = Image.fromarray(noise).resize((180, 140), Image.Resampling.BICUBIC)
        image.save(root / "any" / f"{number}.jpg", quality=90)
    return root


@pytest.fixture(scope="module")
def manifest(busy):
    return scan(busy, validation=0, test=0)


def test_the_same_pixels_are_identical_and_others_are_explained(manifest):
    shown = {}
    found = compare(
        [PIL, JPEG, SCALED],
        manifest,
        SPEC,
        explain=reason,
        show=lambda name, worst, own, reference: shown.update({name: (worst, own.shape)}),
    )
    first, same, scaled = found.loaders
    assert found.reference == "keras_pil"
    assert first.within
    assert same.within
    assert same.identical == 1
    assert not same.worst
    assert scaled.within is False
    assert scaled.identical == 0
    assert scaled.worst_mean >= scaled.mean > 3
    assert {image.reason for image in scaled.worst} == {"scaled decoding"}
    assert scaled.worst[0].path.startswith("any/")
    assert shown["tf_data decode=scaled"][1] == (8, 32, 32, 3)


def test_a_loader_that_fails_is_named_and_the_next_is_the_reference(manifest):
    smooth = SPEC.model_copy(update={"interpolation": "bilinear", "antialias": True})
    found = compare([Choice(loader="keras_directory"), PIL, JPEG], manifest, smooth)
    assert "cannot antialias" in found.loaders[0].error
    assert found.loaders[0].within is None
    assert found.reference == "keras_pil"
    with pytest.raises(LoaderError, match="cannot antialias"):
        compare([Choice(loader="keras_directory")], manifest, smooth)


def test_a_file_that_all_skip_is_no_difference(busy, tmp_path):
    photos = shutil.copytree(busy, tmp_path / "photos")
    manifest = scan(photos, validation=0, test=0)
    (photos / "any" / "3.jpg").write_bytes(b"text")
    found = compare([PIL, JPEG], manifest, SPEC, on_error="skip")
    assert found.loaders[1].identical == 1
    with pytest.raises(LoaderError, match="row 3"):
        compare([PIL, JPEG], manifest, SPEC)


def saved(path, image, **how):
    image.save(path, **how)
    return str(path)


def shown_by(path, spec):
    return np.asarray(fitted(picture(path, spec), spec))


def test_each_difference_finds_its_reason(busy, tmp_path):
    photo = Image.open(busy / "any" / "0.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = saved(tmp_path / "turned.jpg", photo, exif=exif)
    veil = photo.convert("RGBA")
    veil.putalpha(photo.convert("L"))
    veiled = saved(tmp_path / "veil.png", veil)
    grey = np.asarray(photo.convert("L")).astype(np.uint16) * 200
    deep = saved(tmp_path / "deep.png", Image.fromarray(grey))
    plain = saved(tmp_path / "plain.png", photo)
    bilinear = SPEC.model_copy(update={"interpolation": "bilinear"})
    smooth = bilinear.model_copy(update={"antialias": True})
    upright = SPEC.model_copy(update={"orientation": "apply"})
    with Image.open(veiled) as image:
        no_alpha = np.asarray(fitted(image.convert("RGB"), SPEC))
    cut = np.asarray(fitted(Image.fromarray(np.minimum(grey, 255).astype(np.uint8)), SPEC))
    cut = np.repeat(cut[..., None], 3, -1) if cut.ndim == 2 else cut
    for path, spec, other, name in (
        (turned, SPEC, shown_by(turned, upright), "orientation"),
        (plain, SPEC, shown_by(plain, bilinear), "resize filter"),
        (plain, bilinear, shown_by(plain, smooth), "antialiasing"),
        (veiled, SPEC, no_alpha, "alpha"),
        (deep, SPEC, cut, "depth"),
        (plain, SPEC, np.full((32, 32, 3), 9, np.uint8), "unknown"),
    ):
        own = shown_by(path, spec)
        assert reason(path, spec, own, other) == name
        assert reason(path, spec, other, own) == name
    assert reason(plain, SPEC, own, own ^ 1) == "rounding"


@pytest.mark.parametrize(
    ("how", "name"),
    [({"dct_method": "INTEGER_FAST"}, "inverse DCT"), ({"fancy_upscaling": False}, "chroma")],
)
def test_decoders_are_told_apart(busy, how, name):
    import tensorflow as tf

    path = str(busy / "any" / "1.jpg")
    options = {"dct_method": "INTEGER_ACCURATE", **how}
    data = (busy / "any" / "1.jpg").read_bytes()
    other = Image.fromarray(tf.io.decode_jpeg(data, 3, **options).numpy())
    said = reason(path, SPEC, np.asarray(fitted(other, SPEC)), shown_by(path, SPEC))
    assert said.startswith(name)


def test_a_check_in_its_own_process_draws_the_worst(manifest, tmp_path):
    kept, sheet = tmp_path / "m.parquet", tmp_path / "worst.png"
    manifest.write(kept)
    told = []
    found = check_pixels(
        [PIL, SCALED],
        kept,
        SPEC,
        tmp_path / "log",
        images=5,
        worst=2,
        sheet=sheet,
        started=told.append,
    )
    assert told == ["keras_pil", "tf_data decode=scaled"]
    assert found.images == 5
    assert len(found.loaders[1].worst) == 2
    with Image.open(sheet) as image:
        assert image.format == "PNG"
        assert image.width > 3 * 160
        assert image.height > 2 * 160
    with pytest.raises(TrialError, match="ended with exit code"):
        check_pixels([PIL, SCALED], kept, SPEC, tmp_path / "log", images=5, limit_s=0.5)


def feedbench(*arguments):
    return subprocess.run(
        [sys.executable, "-m", "feedbench.bench.cli", *map(str, arguments)],
        text=True,
        check=False,
        capture_output=True,
        env={**os.environ, "COLUMNS": "200"},
    )


def test_bench_refuses_to_rank_other_pixels_unless_it_is_told_to(busy, tmp_path):
    options = ["bench", busy, "--consumer", "drain", "--loader", "keras_pil", "--loader", "tf_data"]
    options += ["--set", "tf_data.decode=jpeg,scaled", "--image-size", 32, "--batch-size", 4]
    options += ["--blocks", 2, "--block-seconds", 0.2, "--warm-up-seconds", 0.2]
    done = feedbench(*options, "--out", tmp_path / "strict")
    assert done.returncode == 0, done.stderr
    assert "Other pixels than keras_pil: tf_data decode=scaled" in done.stdout
    assert "levels, not ranked)" in done.stdout
    summary = json.loads((tmp_path / "strict" / "summary.json").read_text())
    ranked = {str(trial["settings"]): trial["ranked"] for trial in summary["trials"]}
    assert ranked == {"{}": True, "{'decode': 'jpeg'}": True, "{'decode': 'scaled'}": False}
    done = feedbench(*options, "--allow-different-pixels", "--out", tmp_path / "all")
    assert done.returncode == 0, done.stderr
    summary = json.loads((tmp_path / "all" / "summary.json").read_text())
    assert all(trial["ranked"] for trial in summary["trials"])
    assert "levels)" in done.stdout


def test_other_pixels_never_win(trial):
    slow, fast = trial("keras_pil", [100, 101, 99]), trial("tf_data", [200, 201, 199])
    apart = SamePixels(
        reference="keras_pil", tolerance=3, worst_mean=9, within=False, allowed=False
    )
    fast.pixels = apart
    assert summarize([slow, fast]).winner == 0
    fast.pixels = apart.model_copy(update={"allowed": True})
    assert summarize([slow, fast]).winner == 1
    assert summarize([slow, fast]).trials[1].other_pixels == 9


def test_the_command_says_what_differs(busy, tmp_path):
    told = tmp_path / "p.json"
    options = ["--loader", "keras_pil", "--loader", "tf_data", "--image-size", 32, "--json", told]
    done = feedbench("pixels", busy, *options, "--set", "tf_data.decode=scaled")
    assert done.returncode == 1, done.stderr
    assert "scaled decoding" in done.stdout
    assert json.loads(told.read_text())["loaders"][1]["within"] is False
    wrong = feedbench("pixels", busy, "--loader", "keras_pil")
    assert wrong.returncode == 2
    assert "name another to compare it with" in wrong.stderr
