"""The report of a scan counts problems, duplicates and small classes; the tables print it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from feedbench.bench.data.scan_report import report
from feedbench.bench.data.scan_table import parts, warnings
from feedbench.bench.report.csv_text import as_csv
from feedbench.loaders import scan
from feedbench.loaders.audit.facts import audit
from feedbench.loaders.audit.probe import ProbeLimits
from feedbench.loaders.audit.store import Store

Printed = Callable[..., str]


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
    assert [line.split(":")[0] for line in lines] == ["Duplicates", "Leakage", "Few images"]
    assert lines[2] == (
        "Few images: 2 classes have fewer than 10 readable training images: ant (1), bee (2)."
    )


def test_tables_show_all_counts_and_verdicts(scanned: dict[str, Any], printed: Printed) -> None:
    text = printed(*parts(scanned))
    assert "6 images" in text
    assert "extension of another format" in text
    assert "keras_directory" in text
    assert "–: the loader is Feedbench's own" in " ".join(text.split())


def a_report(counts: dict[str, int], **values: Any) -> dict[str, Any]:
    return {
        "images": sum(counts.values()),
        "bytes": 0,
        "classes": list(counts),
        "counts": {"train": counts, "validation": dict.fromkeys(counts, 0)}
        | {"test": dict.fromkeys(counts, 0)},
        "formats": {},
        "problems": {},
        "unreadable": {},
        "duplicates": {"pictures": 0, "across_splits": 0, "across_classes": 0},
        "few_images": {},
        "loaders": {},
        **values,
    }


def test_problems_are_printed_in_words(printed: Printed) -> None:
    report = a_report({}, problems={"EXIF says it is turned": 3})
    assert "rotated or mirrored by EXIF" in printed(*parts(report))


def test_of_a_thousand_classes_the_smallest_are_printed_and_all_are_in_the_csv(
    printed: Printed,
) -> None:
    counts = {f"class-{number:03}": 1_000 - number for number in range(1_000)}
    few = {name: count for name, count in counts.items() if count < 10}
    report = a_report(counts, few_images=few | {"two": 2, "one": 1})
    text = " ".join(printed(*parts(report)).split())
    assert "class-999 1 0 0 " in text
    assert "class-959" not in text
    assert "960 more rows: feedbench show --csv has all." in text
    assert "11 classes have fewer than 10 readable training images: class-991 (9), " in text
    assert text.endswith("two (2) and 1 more.")
    assert len(as_csv(next(iter(parts(report)))).splitlines()) == 1_001


def test_that_there_are_no_problems_is_said(printed: Printed) -> None:
    said = "No problems found: every image can be read, and none is there twice."
    assert said in printed(*parts(a_report({"ant": 20, "bee": 20})))
    for values in ({"problems": {"CMYK": 1}}, {"few_images": {"ant": 3}}):
        assert "No problems" not in printed(*parts(a_report({"ant": 20}, **values)))


def test_what_libraries_do_is_counted_under_heads_that_say_so(printed: Printed) -> None:
    verdict = {"fails": 1, "alters": 2, "drops": 3, "left_out": 4}
    text = printed(*parts(a_report({"ant": 20}, loaders={"tf_data": verdict})))
    assert "Files by what the library's own call does with them" in text
    words = " ".join(text.split())
    assert "cannot skips Feedbench loader read alters silently leaves out" in words
    assert "tf_data 1 2 3 4" in words


def test_objects_that_could_not_be_fetched_are_said(printed: Printed) -> None:
    text = " ".join(printed(*parts(a_report({"ant": 20}, unread=3))).split())
    assert "Not read: 3 objects could not be fetched; scan again to read them." in text
    assert "No problems" not in text
