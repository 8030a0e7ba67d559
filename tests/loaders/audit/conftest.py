"""Image files of many formats, damaged at every kind of place."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from feedbench.loaders import scan
from feedbench.loaders.audit.facts import audit
from feedbench.loaders.audit.probe import ProbeLimits
from feedbench.loaders.audit.store import Store


def saved(image, kind, **options):
    data = io.BytesIO()
    image.save(data, kind, **options)
    return data.getvalue()


def sound_files():
    """Bytes by name; noise would compress too badly to be damaged in interesting places."""
    random = np.random.default_rng(5)
    photo = Image.fromarray(random.integers(0, 256, (5, 6, 3), np.uint8)).resize((61, 47), 3)
    large = Image.fromarray(random.integers(0, 256, (9, 12, 3), np.uint8)).resize((120, 90), 3)
    few, grey, cmyk = photo.quantize(20), photo.convert("L"), photo.convert("CMYK")
    veil = photo.convert("RGBA")
    veil.putalpha(grey)
    moving = {"save_all": True, "append_images": [photo.quantize(7)]}
    exif = Image.Exif()
    exif[0x0112] = 6
    deep = Image.fromarray(np.asarray(grey).astype(np.uint16) * 257)
    return {
        "baseline.jpg": saved(large, "JPEG"),
        "progressive.jpg": saved(large, "JPEG", progressive=True),
        "restart.jpg": saved(large, "JPEG", restart_marker_blocks=4),
        "turned.jpg": saved(large, "JPEG", exif=exif),
        "cmyk.jpg": saved(cmyk, "JPEG"),
        "grey.jpg": saved(large.convert("L"), "JPEG"),
        "rgb.png": saved(photo, "PNG"),
        "grey.png": saved(grey, "PNG"),
        "turned.png": saved(photo, "PNG", exif=exif),
        "veil.png": saved(veil, "PNG"),
        "palette.png": saved(few, "PNG"),
        "deep.png": saved(deep, "PNG"),
        "interlaced.png": interlaced(),
        "lossless.webp": saved(photo, "WEBP", lossless=True),
        "lossy.webp": saved(large, "WEBP"),
        "moving.webp": saved(photo, "WEBP", **moving),
        "moving.gif": saved(few, "GIF", **moving),
        "rgb.bmp": saved(photo, "BMP"),
        "palette.bmp": saved(few, "BMP"),
        "raw.tiff": saved(photo, "TIFF"),
        "lzw.tiff": saved(photo, "TIFF", compression="tiff_lzw"),
        "turned.tiff": saved(photo, "TIFF", tiffinfo={0x0112: 6}, compression="tiff_deflate"),
        "photo.avif": saved(photo, "AVIF"),
        "photo.jp2": saved(photo, "JPEG2000"),
    }


def interlaced():
    """An Adam7 PNG in two IDAT chunks: Pillow does not write these."""
    y, x = np.mgrid[0:32, 0:40]
    pixels = np.stack([x * 6, y * 7, x + y], -1).astype(np.uint8)
    passes = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2)]
    lines = [
        b"\0" + line.tobytes()
        for left, top, across, down in [*passes, (0, 1, 1, 2)]
        for line in pixels[top::down, left::across]
    ]
    packed = zlib.compress(b"".join(lines))

    def chunk(kind, data):
        whole = kind + data
        return struct.pack(">I", len(data)) + whole + struct.pack(">I", zlib.crc32(whole))

    header = struct.pack(">IIBBBBB", 40, 32, 8, 2, 0, 0, 1)
    data = chunk(b"IDAT", packed[:400]) + chunk(b"IDAT", packed[400:])
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data + chunk(b"IEND", b"")


def damaged(data, random):
    """Names and bytes of damaged copies: cut, flipped, overwritten, shifted, with more appended."""
    size = len(data)
    for cut in {size - 1, size - 2, size - 12, size // 2, *random.integers(1, size, 2).tolist()}:
        yield f"cut at {cut}", data[:cut]
    ranges = [(0, min(64, size))] * 4 + [(0, size)] * 7 + [(size - 20, size)] * 2
    for offset in {int(random.integers(*span)) for span in ranges}:
        flipped = bytearray(data)
        flipped[offset] ^= 1 << int(random.integers(8))
        yield f"flipped at {offset}", bytes(flipped)
    for fill in (b"\0", b"\xff"):
        begin, width = int(random.integers(size)), int(random.choice([2, 16, 64]))
        yield f"{width} of {fill.hex()} at {begin}", overwritten(data, begin, fill * width)
    begin = int(random.integers(size))
    yield f"noise at {begin}", overwritten(data, begin, random.bytes(16))
    yield f"less at {begin}", data[:begin] + data[begin + 1 :]
    yield f"more at {begin}", data[:begin] + b"\0" + data[begin:]
    yield "zeros behind", data + bytes(40)
    yield "itself behind", data + data


def overwritten(data, begin, piece):
    end = min(len(data), begin + len(piece))
    return data[:begin] + piece[: end - begin] + data[end:]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """The audited manifest of sound and damaged files."""
    root = tmp_path_factory.mktemp("damaged")
    (root / "any").mkdir()
    random = np.random.default_rng(20)
    for name, data in sound_files().items():
        stem, kind = name.split(".")
        (root / "any" / f"{stem}.sound.{kind}").write_bytes(data)
        for what, bad in damaged(data, random):
            (root / "any" / f"{stem} {what}.{kind}").write_bytes(bad)
    return audit(
        scan(root, validation=0, test=0),
        Store(tmp_path_factory.mktemp("store")),
        ProbeLimits(),
        processes=2,
        start=lambda total: lambda count: None,
    )
