"""What the audit says of damaged files is what each loader then does, in both directions."""

import os

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from PIL import Image

from feedbench.loaders import LOADERS, BatchSpec, open_loader, scan
from feedbench.loaders.audit.probe import ProbeLimits, probe
from feedbench.loaders.faults import Faults, Tolerance
from feedbench.loaders.manifest import AUDIT
from feedbench.loaders.pack import Packing, fill, opened
from feedbench.loaders.selection import usable

SPEC = BatchSpec(batch_size=64, image_size=32, shuffle=False, value_range=(0, 255))
LIVE = [
    ("keras_pil", {}),
    ("keras_directory", {}),
    ("tf_data", {}),
    ("tf_data", {"decode": "jpeg"}),
    ("tf_data", {"decode": "scaled"}),
    ("turbo", {}),
    ("turbo", {"decode": "scaled"}),
    ("tf_data_service", {}),
    ("torch", {"decoder": "pillow"}),  # OpenCV, DALI and FFmpeg read other files than a scan says
    ("torch", {"decoder": "simplejpeg"}),
    ("grain", {}),
]
pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow warns of some damage


def readable_and_not(files, name):
    """The rows that a loader can read according to the audit, and the others' paths."""
    readable, left_out = usable(files, [LOADERS[name].readable_by])
    return readable, set(left_out["path"].to_pylist())


def between_sound_ones(files, bad):
    """A manifest of the bad files, each followed by a sound one, which takes its place."""
    is_bad = pc.is_in(files.table["path"], pa.array(list(bad), pa.large_binary()))
    is_sound = pc.match_substring(files.table["path"], b".sound.jpg")
    rows = np.flatnonzero(is_bad.to_numpy())
    sound = np.resize(np.flatnonzero(is_sound.to_numpy()), len(rows))
    return type(files)(
        files.table.take(pa.array(np.stack([rows, sound], 1).ravel())).combine_chunks(),
        files.classes,
        files.root,
        files.layout,
    )


def images_of(name, settings, manifest, **options):
    """Images by path, and the paths of those that failed."""
    images = {}
    with open_loader(name, manifest, SPEC, settings, epochs=1, **options) as stream:
        for batch in stream:
            pixels = np.asarray(batch.images, np.float32)
            names = (manifest.name(row) for row in batch.rows.tolist())
            images.update(zip(names, pixels, strict=True))
        return images, {manifest.name(fault.row) for fault in stream.dropped}


@pytest.fixture(scope="module")
def reference(files):
    """What `keras_pil` gives of all files that Pillow reads."""
    return images_of("keras_pil", {}, readable_and_not(files, "keras_pil")[0])[0]


@pytest.mark.parametrize(("name", "settings"), LIVE, ids=str)
def test_what_the_audit_passes_is_read_and_looks_alike(files, reference, name, settings):
    readable, bad = readable_and_not(files, name)
    images, _ = images_of(name, settings, readable)  # raises if one cannot be read
    assert len(images) == len(readable) > 150
    assert len(bad) > 150
    others = {
        os.fsdecode(path): np.abs(image - images[path]).mean()
        for path, image in reference.items()
        if np.abs(image - images[path]).mean() > 8 and b"interlaced" not in path
    }
    assert not others


@pytest.mark.parametrize(("name", "settings"), LIVE, ids=str)
def test_what_the_audit_leaves_out_is_an_error_in_the_loader(files, name, settings):
    _, bad = readable_and_not(files, name)
    options = {"on_error": "skip", "error_budget": 1.0}
    _, failed = images_of(name, settings, between_sound_ones(files, bad), **options)
    assert failed == bad


def test_a_pack_holds_exactly_what_the_audit_passes(files, tmp_path):
    readable, bad = readable_and_not(files, "turbo")
    packing = Packing(readable, SPEC, "arrays")
    with opened(packing, tmp_path / "pack") as writer:
        fill(packing, writer, Faults(), lambda count: None)
    settings = {"pack": str(tmp_path / "pack")}
    assert len(images_of("packed", settings, readable)[0]) == len(readable)
    others = between_sound_ones(files, bad)
    faults = Faults(Tolerance(skip=True, budget=1.0, images=len(others)))
    packing = Packing(others, SPEC, "arrays")
    with opened(packing, tmp_path / "others") as writer:
        fill(packing, writer, faults, lambda count: None)
    assert {others.name(row) for row in faults.dropped} == bad


def of_an_overflow(files):
    """A JPEG with a broken quantization table: the fast transform overflows."""
    data = bytearray((files.root / "any" / "baseline.sound.jpg").read_bytes())
    table = data.index(b"\xff\xdb") + 5
    data[table : table + 4] = b"\xff" * 4
    return data


def test_what_decoders_show_differently_is_reported(files, tmp_path):
    """Such a file goes to Pillow in every loader."""
    differ = files.table.filter(pc.invert(pc.fill_null(files.table["same_pixels"], True)))
    sound = pc.match_substring(differ["path"], b".sound.")
    # TensorFlow takes the numbers of a BMP's palette for grey levels.
    assert differ.filter(sound)["path"].to_pylist() == [b"any/palette.sound.bmp"]
    path = tmp_path / "damaged.jpg"
    path.write_bytes(of_an_overflow(files))
    facts = probe(os.fsencode(path), ProbeLimits())
    assert (facts["pillow"], facts["tensorflow"], facts["same_pixels"]) == (None, None, False)


@pytest.mark.parametrize("decode", ["full", "scaled"])
def test_what_decoders_show_differently_is_left_to_pillow(files, tmp_path, with_facts, decode):
    (tmp_path / "any").mkdir()
    (tmp_path / "any" / "damaged.jpg").write_bytes(of_an_overflow(files))
    manifest = with_facts(scan(tmp_path, validation=0, test=0))
    (shown,) = images_of("turbo", {"decode": decode}, manifest)[0].values()
    (expected,) = images_of("keras_pil", {}, manifest)[0].values()
    assert np.array_equal(shown, expected)


def test_a_raised_pixel_limit_does_not_lift_pillows_own(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # as in the processes of an audit
    path = tmp_path / "vast.ppm"
    path.write_bytes(b"P6 20000 20000 255\n")
    facts = probe(os.fsencode(path), ProbeLimits(pixels=10**9))
    assert facts["pillow"] == "20,000 × 20,000 pixels, more than Pillow's limit of 178,956,970"


def test_any_number_in_a_header_can_be_stored(tmp_path):
    path = tmp_path / "vast.avif"
    Image.new("RGB", (40, 30)).save(path)
    data = bytearray(path.read_bytes())
    data[data.find(b"pixi") + 9] = 200  # bits of a channel
    path.write_bytes(data)
    Image.new("RGB", (40, 30)).save(tmp_path / "vast.bmp")
    data = bytearray((tmp_path / "vast.bmp").read_bytes())
    data[18:22] = b"\x00\x00\x00\x90"  # the width
    (tmp_path / "vast.bmp").write_bytes(data)
    for name in ("vast.avif", "vast.bmp"):
        facts = probe(os.fsencode(tmp_path / name), ProbeLimits())
        assert pa.RecordBatch.from_pylist([facts], AUDIT).num_rows == 1
