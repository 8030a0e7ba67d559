"""The report of a scan counts problems, duplicates and small classes; the tables print it."""

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from rich.console import Console

from feedbench.bench.data.scan_report import report
from feedbench.bench.data.scan_table import tables, warnings
from feedbench.loaders import scan
from feedbench.loaders.audit.facts import audit
from feedbench.loaders.audit.probe import ProbeLimits
from feedbench.loaders.audit.store import Store


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The report of a folder with a duplicate, a wrong extension and a broken file."""
    root: Path = tmp_path_factory.mktemp("scanned")
    for folder in ("train/ant", "train/bee", "test/ant", "test/bee"):
        (root / folder).mkdir(parents=True)
    photo = Image.new("RGB", (40, 30), "red")
    photo.save(root / "train/ant/photo.jpg")
    (root / "test/ant/copy.jpg").write_bytes((root / "train/ant/photo.jpg").read_bytes())
    photo.save(root / "train/bee/really.jpg", "PNG")
    Image.new("RGB", (40, 30), "green").save(root / "test/bee/fine.jpg")
    (root / "train/bee/broken.jpg").write_bytes(b"text")
    # TensorFlow takes the numbers of a palette for grey levels.
    photo.quantize(4).save(root / "train/bee/palette.bmp")
    manifest = audit(
        scan(root),
        Store(tmp_path_factory.mktemp("store")),
        ProbeLimits(),
        processes=1,
        start=lambda total: lambda count: None,
    )
    return report(manifest)


def test_formats_and_problems_are_counted(scanned: dict[str, Any]) -> None:
    assert scanned["images"] == 6
    assert scanned["formats"] == {"JPEG": 3, "BMP": 1, "PNG": 1, "unknown": 1}
    assert scanned["problems"] == {
        "no decoder reads it": 1,
        "Pillow and TensorFlow differ": 1,
        "extension of another format": 1,
    }
    assert sum(scanned["unreadable"].values()) == 1


def test_duplicates_across_splits_are_counted(scanned: dict[str, Any]) -> None:
    assert scanned["duplicates"] == {
        "pictures": 1,
        "files": 2,
        "across_splits": 1,
        "across_classes": 0,
    }


def test_unreadable_images_do_not_count_for_small_classes(scanned: dict[str, Any]) -> None:
    assert scanned["few_images"] == {"ant": 1, "bee": 2}


def test_warnings_name_leakage_and_small_classes(scanned: dict[str, Any]) -> None:
    lines = list(warnings(scanned))
    assert [line.split(":")[0] for line in lines] == [
        "Duplicates",
        "Leakage",
        "Few images",
        "Few images",
    ]
    assert "class ant has only 1 readable training images" in lines[2]


def printed(report: dict[str, Any]) -> str:
    console = Console(width=200, file=io.StringIO(), record=True)
    for table in tables(report):
        console.print(table)
    return console.export_text()


def test_tables_show_all_counts_and_verdicts(scanned: dict[str, Any]) -> None:
    text = printed(scanned)
    assert "6 images" in text
    assert "extension of another format" in text
    assert "keras_directory" in text
    assert "–: the loader is feedbench's own" in " ".join(text.split())


def test_problems_are_printed_in_words() -> None:
    problems = {"EXIF says it is turned": 3}
    report = {
        "images": 3,
        "bytes": 0,
        "classes": [],
        "counts": {"train": {}, "validation": {}, "test": {}},
        "formats": {},
        "problems": problems,
        "unreadable": {},
        "loaders": {},
    }
    assert "rotated or mirrored by EXIF" in printed(report)
