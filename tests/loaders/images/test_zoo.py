"""Every format gives the right image in every loader; damaged files are named."""

import os
import shutil
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image

from feedbench.loaders import (
    LOADERS,
    BatchSpec,
    ImageError,
    SpecError,
    open_loader,
    scan,
    without_stale_facts,
)
from feedbench.loaders.images.tensorflow import jxl_picture
from feedbench.loaders.selection import bad_rows, usable

SIDE = 48
LOSSY = (b".jpg", b".avif")
VARIANTS = [
    ("keras_pil", {}),
    ("keras_pil", {"workers": 2}),
    ("keras_directory", {}),
    ("tf_data", {}),
    ("tf_data", {"decode": "jpeg"}),
    ("tf_data", {"cache": "decoded"}),
    ("tf_data", {"cache": "encoded", "output": "float32"}),
    ("turbo", {}),
]


def facts(audited, name):
    row = pc.index(audited.table["path"], b"any/" + name).as_py()
    assert row >= 0, name
    return audited.table.slice(row, 1).to_pylist()[0]


def images_by_name(name, settings, manifest, spec):
    by_name = {}
    with open_loader(name, manifest, spec, settings, epochs=1) as stream:
        for images, _, rows in stream:
            images = np.asarray(images, np.float32)
            by_name.update((manifest.name(r)[4:], i) for r, i in zip(rows, images, strict=True))
    return by_name


def resized(picture):
    image = Image.fromarray(np.ascontiguousarray(picture))
    return np.asarray(image.resize((SIDE, SIDE), Image.Resampling.NEAREST), np.float32)


@pytest.mark.parametrize("orientation", ["ignore", "apply"])
@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=str)
def test_every_format_gives_its_image_in_every_loader(zoo, audited, name, settings, orientation):
    manifest, _ = usable(audited, [LOADERS[name].readable_by])
    spec = BatchSpec(
        batch_size=8, image_size=SIDE, shuffle=False, value_range=(0, 255), orientation=orientation
    )
    images = images_by_name(name, settings, manifest, spec)
    wanted = {**zoo.pictures, **(zoo.upright if orientation == "apply" else {})}
    if name == "keras_pil":
        wanted = {path: shown for path, shown in wanted.items() if not path.endswith(b".jxl")}
    assert set(images) - zoo.sloppy == set(wanted)
    for path, picture in wanted.items():
        difference = np.abs(images[path] - resized(picture))
        lossy = path.endswith(LOSSY) and path != b"lies.jpg"
        if path.endswith(b"00.png"):  # an edge may move by a pixel where the filter has a tie
            assert np.median(difference) == 0, path
        else:
            assert difference.mean() < (3 if lossy else 0.51), path


@pytest.mark.parametrize("orientation", ["ignore", "apply"])
def test_what_only_tensorflow_reads_looks_alike_in_all_loaders(audited, orientation):
    """Whatever it is: a format, depth or rotation that would go to Pillow if that could read it."""
    table = audited.where(pc.is_null(audited.table["tensorflow"])).table
    unread = pa.array(["Pillow cannot"] * len(table), pa.string())
    table = table.set_column(table.column_names.index("pillow"), "pillow", unread)
    manifest = replace(audited, table=table)
    spec = BatchSpec(
        batch_size=8, image_size=SIDE, shuffle=False, value_range=(0, 255), orientation=orientation
    )
    turbo = images_by_name("turbo", {}, manifest, spec)
    assert {b"deep.png", b"turned-6.jpg", b"veil.png", b"rgb.bmp"} <= set(turbo)
    for name in ("tf_data", "keras_directory"):
        images = images_by_name(name, {}, manifest, spec)
        assert set(images) == set(turbo)
        for path, image in images.items():
            median = np.median(np.abs(image - turbo[path]))
            assert median < 1, (name, path)


@pytest.mark.parametrize("orientation", ["ignore", "apply"])
def test_keras_directory_pads_what_keras_itself_cannot(audited, orientation):
    """Its own padding fails on an image 150 times as wide as high."""
    manifest, _ = usable(audited, [("pillow", "tensorflow")])
    spec = BatchSpec(
        batch_size=8, image_size=SIDE, shuffle=False, value_range=(0, 255), resize="pad"
    )
    spec = spec.model_copy(update={"orientation": orientation})
    images = images_by_name("keras_directory", {}, manifest, spec)
    expected = images_by_name("tf_data", {}, manifest, spec)
    assert set(images) == set(expected)
    assert np.abs(images[b"30000x200.png"] - expected[b"30000x200.png"]).max() <= 1


@pytest.mark.parametrize("of_others", [False, True])
def test_an_image_that_keras_cannot_pad_is_named_where_no_scan_has_seen_it(
    zoo, tmp_path, with_facts, of_others
):
    (tmp_path / "any").mkdir()
    long = shutil.copy(zoo.root / "any" / "30000x200.png", tmp_path / "any" / "long.png")
    manifest = scan(tmp_path)
    if of_others:  # of all files, before this one was replaced
        manifest = with_facts(manifest)
        os.utime(long, ns=(0, 1))
        manifest = without_stale_facts(manifest)
    spec = BatchSpec(batch_size=1, image_size=SIDE, resize="pad")
    with (
        open_loader("keras_directory", manifest, spec, epochs=1) as stream,
        pytest.raises(ImageError, match="it pads no image of 30,000 × 200 pixels"),
    ):
        next(stream)


def test_jxl_picture_decodes_like_the_loaders(zoo):
    for name in (b"jxl.jxl", b"jxl-veil.jxl", b"jxl-grey.jxl"):
        shown = jxl_picture(str(zoo.root / "any" / name.decode()), BatchSpec())
        assert np.array_equal(np.asarray(shown), zoo.pictures[name]), name


def test_the_audit_fills_its_columns(zoo, audited):
    for name, kind, more in (
        (b"lies.jpg", "PNG", {}),
        (b"no-format.pic", "WEBP", {"alpha": False}),
        (b"moving.webp", "WEBP", {"frames": 2}),
        (b"moving.gif", "GIF", {"frames": 2}),
        (b"cmyk.jpg", "JPEG", {"mode": "CMYK"}),
        (b"deep.png", "PNG", {"bits": 16}),
        (b"deep-grey.tiff", "TIFF", {"bits": 16}),
        (b"line.png", "PNG", {"bits": 1}),
        (b"veil.webp", "WEBP", {"alpha": True, "mode": "RGBA"}),
        (b"palette-hole.gif", "GIF", {"alpha": True}),
        (b"turned-8.jpg", "JPEG", {"orientation": 8}),
        (b"turned.tiff", "TIFF", {"orientation": 6}),
        (b"avif.avif", "AVIF", {"bits": 8}),
        (b"jxl.jxl", "JXL", {"width": 24, "height": 16, "tensorflow": None}),
        (b"30000x200.png", "PNG", {"width": 30_000, "height": 200, "pillow": None}),
        (b"half.jpg", "JPEG", {}),
    ):
        row = facts(audited, name)
        assert row["format"] == kind, name
        for column, value in more.items():
            assert row[column] == value, (name, column)
    assert "unknown image format" in facts(audited, b"jxl.jxl")["pillow"]
    assert facts(audited, b"rgb.tiff")["tensorflow"]
    assert facts(audited, b"rgb.png")["bytes"] == (zoo.root / "any" / "rgb.png").stat().st_size


def test_exactly_the_bad_files_are_listed_with_their_reasons(zoo, audited):
    bad = {line["path"][4:]: line["reason"] for line in bad_rows(audited).to_pylist()}
    readable = {name for name in zoo.pictures if not name.endswith(b".jxl")}
    assert not set(bad) & readable
    for name, reason in zoo.bad.items():
        assert reason in bad[name], name
        assert "\n" not in bad[name]


def test_copies_have_the_same_digest(audited):
    assert facts(audited, b"lies.jpg")["digest"] == facts(audited, b"rgb.png")["digest"]
    assert facts(audited, b"rgb.bmp")["digest"] != facts(audited, b"rgb.png")["digest"]


def test_a_comparison_uses_rows_that_all_its_loaders_can_read(audited):
    both, left_out = usable(audited, [("pillow",), ("pillow", "tensorflow")])
    alone, _ = usable(audited, [("pillow", "tensorflow")])
    assert len(alone) - len(both) == 3  # JPEG XL
    assert len(both) + len(left_out) == len(audited)


def test_applying_orientation_needs_an_audit(zoo):
    spec = BatchSpec(batch_size=2, image_size=SIDE, orientation="apply")
    for name in ("keras_pil", "keras_directory", "tf_data", "turbo"):
        with pytest.raises(SpecError, match="run feedbench scan"):
            open_loader(name, scan(zoo.root), spec)


def test_all_loaders_use_the_specs_background(audited):
    manifest, _ = usable(audited, [("pillow",), ("pillow", "tensorflow")])
    spec = BatchSpec(batch_size=8, image_size=SIDE, shuffle=False, background=(255, 0, 0))
    spec = spec.model_copy(update={"value_range": (0.0, 255.0)})
    shown = {
        name: images_by_name(name, {}, manifest, spec)[b"palette-hole.png"]
        for name in ("keras_pil", "keras_directory", "tf_data", "turbo")
    }
    red = (shown["keras_pil"] == (255, 0, 0)).all(-1)
    assert red.any()
    assert np.array_equal(shown["keras_pil"], shown["keras_directory"])
    assert np.array_equal(shown["keras_pil"], shown["tf_data"])
    assert np.array_equal(shown["keras_pil"], shown["turbo"])
