"""Progressive JPEGs without all scans, which libjpeg completes in its own way, are recognized."""

import io
import os

import numpy as np
import pytest
from PIL import Image

from feedbench.loaders import Augment, BatchSpec, open_loader, scan
from feedbench.loaders.audit.probe import ProbeLimits, probe
from feedbench.loaders.images.progressive import lacks_scans


def saved(mode="RGB", **options):
    random = np.random.default_rng(2)
    noise = Image.fromarray(random.integers(0, 256, (9, 7, 3), np.uint8)).resize((155, 133), 3)
    data = io.BytesIO()
    noise.convert(mode).save(data, "JPEG", **options)
    return data.getvalue()


def without_scans(data, kept):
    """An image of the first scans alone, which decoders read without a warning."""
    scans = [at for at in range(len(data)) if data.startswith(b"\xff\xda", at)]
    assert len(scans) > kept
    return data[: scans[kept]] + b"\xff\xd9"


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_an_image_with_all_scans_lacks_none(mode):
    exif = Image.Exif()
    exif[0x010E] = "a text with \xff\xda in it"
    assert not lacks_scans(saved(mode, progressive=True))
    assert not lacks_scans(saved(mode, progressive=True, exif=exif, restart_marker_blocks=2))
    assert not lacks_scans(saved(mode))
    assert not lacks_scans(b"\xff\xd8\xff\xc2\x00\x0b")
    assert not lacks_scans(b"")


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_an_image_without_its_last_scans_lacks_them(mode):
    whole = saved(mode, progressive=True)
    assert all(lacks_scans(without_scans(whole, kept)) for kept in range(1, 4))


def test_all_loaders_leave_such_an_image_to_pillow_once_it_is_scanned(tmp_path, with_facts):
    (tmp_path / "photos" / "any").mkdir(parents=True)
    path = tmp_path / "photos" / "any" / "a.jpg"
    path.write_bytes(without_scans(saved(progressive=True), 2))
    facts = probe(os.fsencode(path), ProbeLimits())
    assert (facts["pillow"], facts["tensorflow"], facts["same_pixels"]) == (None, None, False)
    manifest = with_facts(scan(tmp_path / "photos", validation=0, test=0))
    augment = Augment(random_resized_crop=(0.1, 0.4))
    spec = BatchSpec(batch_size=1, image_size=64, value_range=(0, 255), augment=augment)

    def shown(name, **settings):
        with open_loader(name, manifest, spec, settings, epochs=3) as stream:
            return np.stack([np.asarray(images, np.float32) for images, _, _ in stream])

    by_pillow = shown("keras_pil")
    for name, settings in (("tf_data", {"decode": "jpeg"}), ("tf_data", {}), ("turbo", {})):
        assert np.array_equal(shown(name, **settings), by_pillow), (name, settings)
