"""Every loader cuts the same random-resized crops, or refuses them."""

import numpy as np
import pytest
from PIL import Image

from feedbench.loaders import LOADERS, Augment, BatchSpec, SpecError, open_loader, scan
from feedbench.loaders.augment.draws import FLIP
from feedbench.loaders.augment.regions import region_in
from feedbench.loaders.selection import usable

SIDE = 40
CUT = Augment(random_resized_crop=(0.08, 1))
SPEC = BatchSpec(batch_size=16, image_size=SIDE, seed=3, value_range=(0, 255), augment=CUT)
VARIANTS = [
    ("keras_pil", {}),
    ("keras_pil", {"workers": 2}),
    ("tf_data", {}),
    ("tf_data", {"decode": "jpeg", "output": "float32"}),
    ("tf_data", {"cache": "encoded"}),
    ("turbo", {}),
    ("turbo", {"output": "float32", "num_threads": 3}),
    ("torch", {"decoder": "pillow", "num_workers": 2}),
    ("torch", {"decoder": "opencv", "num_workers": 0}),
    ("torch", {"decoder": "simplejpeg", "num_workers": 0, "output": "float32"}),
    ("hf_datasets", {"num_workers": 0}),
    ("grain", {}),
    ("dali", {}),
    ("spdl", {}),
    ("spdl", {"decoder": "simplejpeg"}),
]
LOADERS_OF_THE_ZOO = [("keras_pil", {}), ("tf_data", {"decode": "jpeg"}), ("turbo", {})]


@pytest.fixture(scope="module")
def manifest(splits_folder):
    return scan(splits_folder).only("train")


def images_by_row(name, settings, manifest, spec, epochs=2, **options):
    """Each row's images, one per epoch."""
    by_row = {row: [] for row in range(len(manifest))}
    with open_loader(name, manifest, spec, settings, epochs=epochs, **options) as stream:
        for images, _, rows in stream:
            for image, row in zip(np.asarray(images, np.float32), rows.tolist(), strict=True):
                by_row[row].append(image)
    return by_row


def expected(picture, crop, filter_=Image.Resampling.NEAREST):
    """By Pillow alone."""
    image = Image.fromarray(np.ascontiguousarray(picture))
    top, left, height, width = region_in(image.height, image.width, crop)
    region = image.crop((left, top, left + width, top + height))
    return np.asarray(region.resize((SIDE, SIDE), filter_), np.float32)


def opened(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(("name", "settings"), VARIANTS, ids=str)
def test_every_loader_cuts_the_regions_that_are_drawn(manifest, name, settings):
    for row, images in images_by_row(name, settings, manifest, SPEC).items():
        crops = CUT.draw_crops(SPEC.seed, np.arange(2), np.array([row, row]))
        assert len(images) == 2
        assert not np.array_equal(*images)
        for image, crop in zip(images, crops, strict=True):
            difference = np.abs(image - expected(opened(manifest.path(row)), crop))
            # TensorFlow's decode_image has no accurate DCT; the others have Pillow's pixels but
            # for the edge of a region, where TensorFlow interpolates no chroma. FFmpeg has an
            # inverse DCT of its own, and no filter that takes the pixels that Pillow does.
            limit = {"tf_data": 3, "dali": 3, "spdl": 12}.get(name, 0)
            limit = 0 if "decoder" in settings else limit
            assert difference.mean() <= limit, (row, crop)


@pytest.mark.parametrize("resize", ["stretch", "crop", "pad"])
@pytest.mark.parametrize("antialias", [False, True])
def test_a_region_is_stretched_by_the_filter_of_the_spec(manifest, resize, antialias):
    spec = SPEC.model_copy(
        update={"resize": resize, "interpolation": "bilinear", "antialias": antialias}
    )
    images = {
        name: images_by_row(name, settings, manifest, spec, epochs=1)
        for name, settings in LOADERS_OF_THE_ZOO
    }
    for row, (image,) in images["keras_pil"].items():
        for other in ("tf_data", "turbo"):
            difference = np.abs(images[other][row][0] - image)
            assert difference.mean() < 1, (other, row)
        if antialias:
            crop = CUT.draw_crops(SPEC.seed, np.zeros(1, int), np.array([row]))[0]
            wanted = expected(opened(manifest.path(row)), crop, Image.Resampling.BILINEAR)
            assert np.abs(image - wanted).max() == 0


@pytest.mark.parametrize("orientation", ["ignore", "apply"])
@pytest.mark.parametrize(("name", "settings"), LOADERS_OF_THE_ZOO, ids=str)
def test_regions_of_every_format_and_orientation(zoo, audited, name, settings, orientation):
    manifest, _ = usable(audited, [LOADERS[name].readable_by])
    spec = SPEC.model_copy(update={"orientation": orientation, "batch_size": 8})
    pictures = {**zoo.pictures, **(zoo.upright if orientation == "apply" else {})}
    seen = 0
    for row, (image,) in images_by_row(name, settings, manifest, spec, epochs=1).items():
        picture = pictures.get(manifest.name(row)[4:])
        if picture is None:
            continue
        seen += 1
        crop = CUT.draw_crops(SPEC.seed, np.zeros(1, int), np.array([row]))[0]
        difference = np.abs(image - expected(picture, crop))
        edges = (b"00.png", b"line.png", b"line.bmp", b"line.tiff")
        if manifest.name(row).endswith(edges):  # which may move by a pixel
            assert np.median(difference) == 0, manifest.name(row)
        else:
            assert difference.mean() < 3, manifest.name(row)
    assert seen > 40


def test_an_image_that_is_dropped_leaves_the_same_regions_in_all_loaders(zoo, tmp_path):
    folder = tmp_path / "any"
    folder.mkdir()
    for name in ("rgb.png", "half.png", "jpeg.jpg", "half.jpg", "rgb.bmp", "grey.jpg"):
        (folder / name).symlink_to(zoo.root / "any" / name)
    manifest = scan(tmp_path, validation=0, test=0)
    spec = SPEC.model_copy(update={"batch_size": 3})
    images = [
        images_by_row(name, settings, manifest, spec, on_error="skip", error_budget=0.5)
        for name, settings in LOADERS_OF_THE_ZOO
    ]
    for row in range(len(manifest)):
        counts = {len(found[row]) for found in images}
        assert len(counts) == 1
        for others in zip(*(found[row] for found in images), strict=True):
            assert all(np.abs(one - others[0]).mean() < 1 for one in others)


@pytest.mark.parametrize(("name", "settings"), LOADERS_OF_THE_ZOO, ids=str)
def test_a_flip_comes_after_the_crop(manifest, name, settings):
    both = Augment(random_resized_crop=(0.08, 1), horizontal_flip=True)
    spec = SPEC.model_copy(update={"augment": both})
    plain = images_by_row(name, settings, manifest, SPEC, epochs=1)
    flipped = images_by_row(name, settings, manifest, spec, epochs=1)
    flips = both.draw(SPEC.seed, np.zeros(len(manifest), int), np.arange(len(manifest)))[:, FLIP]
    assert 0 < flips.mean() < 1
    for row, (image,) in plain.items():
        assert np.array_equal(flipped[row][0], image[:, ::-1] if flips[row] else image)


def test_scaled_decoding_cuts_nearly_the_same_region(tmp_path):
    """Within a pixel of the shrunk image."""
    y, x = np.mgrid[:600, :800]
    ramp = np.stack([x * 255 // 799, y * 255 // 599, 0 * x + 127], -1).astype(np.uint8)
    (tmp_path / "any").mkdir()
    for number in range(20):
        Image.fromarray(ramp).save(tmp_path / "any" / f"{number:02}.jpg", quality=95)
    manifest = scan(tmp_path, validation=0, test=0)
    full = images_by_row("turbo", {}, manifest, SPEC, epochs=1)
    for name in ("turbo", "tf_data"):
        scaled = images_by_row(name, {"decode": "scaled"}, manifest, SPEC, epochs=1)
        for row, (image,) in full.items():
            assert np.abs(scaled[row][0] - image).mean() < 5, (name, row)


@pytest.mark.guests("webdataset", "torch")
def test_webdataset_cuts_the_regions_of_its_own_order(tar_shards):
    manifest = scan(tar_shards, validation=0, test=0)
    expected = images_by_row("turbo", {}, manifest, SPEC)
    for row, images in images_by_row("webdataset", {"num_workers": 0}, manifest, SPEC).items():
        for image, other in zip(images, expected[row], strict=True):
            assert np.array_equal(image, other), row


@pytest.mark.usefixtures("beside_packs")
def test_packed_jpegs_give_regions_of_the_packed_image(manifest, packs):
    settings = {"pack": str(packs / "jpeg")}
    packed = images_by_row("packed", settings, manifest, SPEC)
    live = images_by_row("turbo", {}, manifest, SPEC)
    for row, images in live.items():
        for image, other in zip(images, packed[row], strict=True):
            assert np.abs(image - other).mean() < 12, row  # encoded again, chroma subsampled


@pytest.mark.usefixtures("beside_packs")
@pytest.mark.parametrize(
    ("name", "settings", "why"),
    [
        ("keras_directory", {}, "Keras resizes each image as it reads it"),
        ("turbo", {"cache": "decoded"}, "cache=decoded keeps images that are resized already"),
        ("turbo", {"cache": "packed", "pack_dir": "x"}, "cache=packed keeps images"),
        ("tf_data", {"cache": "decoded"}, "cache=decoded keeps images"),
        ("tf_data", {"cache": "disk"}, "cache=disk keeps images"),
        ("packed", {"pack": "arrays"}, "a pack of arrays holds images that are resized already"),
        ("ffcv", {"pack_dir": "betons"}, "it resizes whole images"),
    ],
    ids=str,
)
def test_what_resizes_first_refuses_random_resized_crops(manifest, packs, name, settings, why):
    if "pack" in settings:
        settings = {"pack": str(packs / settings["pack"])}
    with pytest.raises(SpecError, match=f"{name} cannot cut random-resized crops: {why}"):
        open_loader(name, manifest, SPEC, settings, epochs=1)
    plain = SPEC.for_evaluation()
    if "pack" not in settings and "pack_dir" not in settings:
        open_loader(name, manifest, plain, settings, epochs=1).close()
