"""The zoo: files of every format and with every kind of damage, and the image of each."""

import base64
import io
import os
import struct
import zlib
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from feedbench.loaders import scan
from feedbench.loaders.audit.facts import audit
from feedbench.loaders.audit.probe import ProbeLimits
from feedbench.loaders.audit.store import Store
from feedbench.loaders.manifest import Manifest
from feedbench.loaders.pool import compiled, tasks

BACKGROUND = 255
# Lossless JPEG XL of `pattern`, in colour, with alpha, and its red channel in grey.
JXL = {
    "jxl.jxl": "/woDQSQIAAEAsABLKDQWfoyCgoKSACUlKsQYY8ZcujGWlEoHAJiamyG2ITChMwuHggmzx7GDcA==",
    "jxl-veil.jxl": "/woDwUoIABAA7ABLKLBtnH/mRkFBQUmCkhIV/mOcmEs3xpMac/pUOgDA1NxcDAQAczAmAM4P"
    "0wKHyF0EPO1kD/AiOhy5EA==",
    "jxl-grey.jxl": "/woDQVDcCAgAAQBcAEsYEy8HCxOgzJJUIZUOADA1N6MG7ksA",
}
NAMES = (
    b"with space.png",
    b'it\'s "quoted".png',
    b"new\nline.png",
    b"\xff\xfe.png",
    b"<script>.png",
)


@dataclass
class Zoo:
    """Files of one class.

    Attributes:
        pictures: the image of each readable file, RGB, as stored.
        upright: the upright image of each file with an EXIF orientation.
        bad: files that no decoder can read, with a part of the reason.
        sloppy: files that some decoders can read.
    """

    root: Path
    pictures: dict[bytes, np.ndarray] = field(default_factory=dict)
    upright: dict[bytes, np.ndarray] = field(default_factory=dict)
    bad: dict[bytes, str] = field(default_factory=dict)
    sloppy: set[bytes] = field(default_factory=set)

    def put(self, name, data, picture=None):
        name = os.fsencode(name)
        with open(os.path.join(os.fsencode(self.root / "any"), name), "wb") as file:  # noqa: PTH123
            file.write(data)
        if picture is not None:
            self.pictures[name] = np.asarray(picture)


def saved(image, kind, **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def decoded(data):
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def pattern():
    y, x = np.mgrid[0:16, 0:24]
    return np.stack([x * 10, y * 15, (x // 8) * 60], -1).astype(np.uint8)


def laid_over(rgb, alpha):
    alpha = alpha[..., None].astype(np.float64)
    return np.round((rgb * alpha + BACKGROUND * (255 - alpha)) / 255).astype(np.uint8)


def png(width, height, depth, colours, lines):
    """A PNG built by hand, of a kind that Pillow does not write."""

    def chunk(kind, data):
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    header = struct.pack(">IIBBBBB", width, height, depth, colours, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + line for line in lines))
    chunks = chunk(b"IHDR", header) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunks


def photograph():
    random = np.random.default_rng(5)
    coarse = random.integers(0, 256, (5, 6, 3), np.uint8)
    return Image.fromarray(coarse).resize((61, 47), Image.Resampling.BICUBIC)


def fill(zoo):
    photo = photograph()
    rgb = np.asarray(photo)
    _plain(zoo, photo, rgb)
    _transparent(zoo, photo, rgb)
    _deep(zoo, rgb)
    _turned(zoo, photo, rgb)
    _sizes(zoo)
    _damaged(zoo, photo)


def _plain(zoo, photo, rgb):
    grey = np.asarray(photo.convert("L").convert("RGB"))
    few = photo.quantize(20)
    colours, line = np.asarray(few.convert("RGB")), photo.convert("1")
    other = photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    for kind in ("PNG", "BMP", "TIFF"):
        zoo.put(f"rgb.{kind.lower()}", saved(photo, kind), rgb)
        zoo.put(f"grey.{kind.lower()}", saved(photo.convert("L"), kind), grey)
        zoo.put(f"palette.{kind.lower()}", saved(few, kind), colours)
        zoo.put(f"line.{kind.lower()}", saved(line, kind), np.asarray(line.convert("RGB")))
    lossless = saved(photo, "WEBP", lossless=True)
    zoo.put("static.webp", lossless, rgb)
    zoo.put("no-format.pic", lossless, rgb)
    zoo.put("lies.jpg", saved(photo, "PNG"), rgb)
    zoo.put("none", saved(photo, "PNG"), rgb)
    moving = saved(photo, "WEBP", lossless=True, save_all=True, append_images=[other])
    zoo.put("moving.webp", moving, rgb)
    zoo.put("palette.gif", saved(few, "GIF"), colours)
    both = saved(few, "GIF", save_all=True, append_images=[photo.quantize(7)])
    zoo.put("moving.gif", both, colours)
    for name, data in {
        "avif.avif": saved(photo, "AVIF", quality=90),
        "jpeg.jpg": saved(photo, "JPEG", quality=95, subsampling=0),
        "progressive.jpg": saved(photo, "JPEG", quality=95, subsampling=0, progressive=True),
        "grey.jpg": saved(photo.convert("L"), "JPEG", quality=95),
        "cmyk.jpg": saved(photo.convert("CMYK"), "JPEG", quality=95, subsampling=0),
        "cmyk.tiff": saved(photo.convert("CMYK"), "TIFF"),
    }.items():
        zoo.put(name, data, decoded(data))
    zoo.put("trailing.jpg", saved(photo, "JPEG", quality=95, subsampling=0) + b"more" * 50)
    zoo.pictures[b"trailing.jpg"] = zoo.pictures[b"jpeg.jpg"]
    for name in NAMES:
        zoo.put(name, saved(photo, "PNG"), rgb)
    zoo.put("jxl.jxl", base64.b64decode(JXL["jxl.jxl"]), pattern())
    zoo.put("jxl-grey.jxl", base64.b64decode(JXL["jxl-grey.jxl"]), pattern()[..., [0, 0, 0]])


def _transparent(zoo, photo, rgb):
    alpha = photo.convert("L")
    with_alpha = photo.convert("RGBA")
    with_alpha.putalpha(alpha)
    picture = laid_over(rgb, np.asarray(alpha))
    for kind in ("PNG", "TIFF"):
        zoo.put(f"veil.{kind.lower()}", saved(with_alpha, kind), picture)
    # Exact: colours under nothing are kept.
    zoo.put("veil.webp", saved(with_alpha, "WEBP", lossless=True, exact=True), picture)
    few = photo.quantize(20)
    hole = np.asarray(few) == 3
    colours = np.where(hole[..., None], np.uint8(BACKGROUND), np.asarray(few.convert("RGB")))
    zoo.put("palette-hole.png", saved(few, "PNG", transparency=3), colours)
    zoo.put("palette-hole.gif", saved(few, "GIF", transparency=3), colours)
    grey = Image.merge("LA", (alpha, alpha))
    zoo.put(
        "grey-veil.png",
        saved(grey, "PNG"),
        laid_over(np.asarray(alpha.convert("RGB")), np.asarray(alpha)),
    )
    over = np.where(np.mgrid[0:16, 0:24][1] < 12, 255, 51)
    zoo.put("jxl-veil.jxl", base64.b64decode(JXL["jxl-veil.jxl"]), laid_over(pattern(), over))


def _deep(zoo, rgb):
    height, width, _ = rgb.shape
    deep = (rgb.astype(np.uint16) * 256 + 77).astype(">u2")
    grey = np.ascontiguousarray(deep[..., 0])
    lines = [line.tobytes() for line in deep]
    zoo.put("deep.png", png(width, height, 16, 2, lines), rgb)
    zoo.put("deep-grey.png", png(width, height, 16, 0, [line.tobytes() for line in grey]))
    zoo.put("deep-grey.tiff", saved(Image.fromarray(grey.astype(np.uint16)), "TIFF"))
    for name in (b"deep-grey.png", b"deep-grey.tiff"):
        zoo.pictures[name] = rgb[..., [0, 0, 0]]


def _turned(zoo, photo, rgb):
    exif = Image.Exif()
    exif[0x0112] = 6
    for name, data in {
        "turned.png": saved(photo, "PNG", exif=exif),
        "turned.webp": saved(photo, "WEBP", lossless=True, exif=exif),
        "turned.tiff": saved(photo, "TIFF", tiffinfo={0x0112: 6}),
    }.items():
        zoo.put(name, data, rgb)
        zoo.upright[name.encode()] = np.rot90(rgb, -1)
    for way in range(2, 9):
        exif[0x0112] = way
        data = saved(photo, "JPEG", quality=95, subsampling=0, exif=exif)
        stored = decoded(data)
        zoo.put(f"turned-{way}.jpg", data, stored)
        across = np.swapaxes(stored, 0, 1)
        zoo.upright[f"turned-{way}.jpg".encode()] = {
            2: stored[:, ::-1],
            3: stored[::-1, ::-1],
            4: stored[::-1],
            5: across,
            6: across[:, ::-1],
            7: across[::-1, ::-1],
            8: across[::-1],
        }[way]


def _sizes(zoo):
    for width, height in ((1, 1), (1, 500)):
        ramp = np.arange(height, dtype=np.uint8)[:, None, None] * np.ones((1, width, 3), np.uint8)
        zoo.put(f"{width}x{height}.png", saved(Image.fromarray(ramp), "PNG"), ramp)
    wide = np.zeros((200, 30_000, 3), np.uint8)
    wide[:, 15_000:] = 200
    zoo.put("30000x200.png", saved(Image.fromarray(wide), "PNG"), wide)


def _damaged(zoo, photo):
    random = np.random.default_rng(0)
    jpeg, whole = saved(photo, "JPEG", quality=95), saved(photo, "PNG")
    noise = random.integers(0, 256, 2_000, np.uint8).tobytes()
    wrong = bytearray(whole)
    wrong[whole.index(b"IHDR") + 20] ^= 255  # of the header's own check sum
    for name, data, reason in (
        ("empty.jpg", b"", "empty"),
        ("text.jpg", b"not a photograph", "unknown image format"),
        ("half.jpg", jpeg[: len(jpeg) // 2], "truncated"),
        ("half.png", whole[: len(whole) // 2], "truncated"),
        ("noise.png", whole[:33] + noise, ""),
        ("check-sum.png", bytes(wrong), ""),
        ("bomb.png", png(30_000, 30_000, 8, 2, [b""]), "refused: 30,000 × 30,000 pixels"),
    ):
        zoo.put(name, data)
        zoo.bad[name.encode()] = reason
    zoo.put("no-end.jpg", jpeg[:-2])
    zoo.sloppy.add(b"no-end.jpg")
    (zoo.root / "any" / "folder.jpg").mkdir()
    zoo.bad[b"folder.jpg"] = "folder"


@pytest.fixture(scope="session")
def zoo(tmp_path_factory) -> Zoo:
    zoo = Zoo(tmp_path_factory.mktemp("zoo"))
    (zoo.root / "any").mkdir()
    fill(zoo)
    return zoo


@pytest.fixture(scope="session")
def audited(zoo, tmp_path_factory) -> Manifest:
    """The zoo's manifest after an audit."""
    store = Store(tmp_path_factory.mktemp("store"))
    return audit(
        scan(zoo.root, validation=0, test=0),
        store,
        ProbeLimits(),
        processes=2,
        start=lambda total: lambda count: None,
    )


@pytest.fixture(params=["compiled", "not compiled"])
def way(request, monkeypatch):
    """How the pool fills batches: by the compiled module, if there is one, and without it."""
    if request.param == "not compiled":
        for module in (compiled, tasks):
            monkeypatch.setattr(module, "compiled_module", lambda: None)
    elif compiled.compiled_module() is None:
        pytest.skip("not compiled")
    return request.param
