"""Generated photos for the self-test: as they are, enlarged, and tiny."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from feedbench.bench.data.generate import make_data
from feedbench.bench.selftest.case import PhotoKind

_PHOTOS, _LARGE, _TINY = 400, 64, 2_000
_LARGE_SIDES, _TINY_SIDES = (2_000, 1_500), (48, 48)


def photos(folder: Path, kind: PhotoKind) -> Path:
    """Return the folder of some photos, which are written on first use."""
    generated, wanted = folder / "photos", folder / kind.replace(" ", "-")
    if not generated.exists():
        make_data(generated, images=_PHOTOS, preset="imagenet", seed=0, classes=4)
    if not wanted.exists():
        files = sorted(generated.rglob("*.jpg"))
        count, sides = (_LARGE, _LARGE_SIDES) if kind == "large photos" else (_TINY, _TINY_SIDES)
        for number in range(count):
            _write_resized(files[number % len(files)], wanted, number, sides)
    return wanted


def _write_resized(source: Path, folder: Path, number: int, sides: tuple[int, int]) -> None:
    """Write a photo in another size, in a folder of its class."""
    target = folder / source.parent.name / f"{number}.jpg"
    target.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(source) as image:
        image.resize(sides, Image.Resampling.BILINEAR).save(target, quality=90)
