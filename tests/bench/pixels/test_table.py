"""The table of a pixel check marks the reference, differences and failures."""

from feedbench.bench.pixels.result import (
    ImageDifference,
    LoaderPixels,
    PixelComparison,
    by_choice,
)
from feedbench.bench.pixels.table import table, verdict, worst_images

REFERENCE = LoaderPixels(loader="keras_pil", settings={}, identical=1.0, within=True)
SAME = LoaderPixels(loader="turbo", settings={}, identical=0.5, worst_mean=1.0, within=True)
DIFFERENT = LoaderPixels(
    loader="tf_data",
    settings={"decode": "scaled"},
    worst_mean=9.0,
    within=False,
    worst=[ImageDifference(path="any/1.jpg", row=1, mean=9.0, largest=40, reason="depth")],
)
FAILED = LoaderPixels(loader="keras_directory", settings={}, error="cannot antialias")


def comparison(*loaders: LoaderPixels) -> PixelComparison:
    return PixelComparison(reference="keras_pil", tolerance=3, images=4, loaders=list(loaders))


def test_each_row_says_how_the_loader_compares(printed):
    lines = printed(table(comparison(REFERENCE, SAME, DIFFERENT, FAILED))).splitlines()
    for name, word in (
        ("keras_pil", "reference"),
        ("turbo", "same"),
        ("tf_data decode=scaled", "different"),
        ("keras_directory", "failed"),
    ):
        (line,) = (line for line in lines if name in line)
        assert word in line


def test_every_column_has_a_header_and_there_is_one_of_reasons_only_if_there_are_any():
    figures = ["identical", "mean", "worst image", "largest"]
    titles = ["loader and settings", *figures, "verdict"]
    plain, with_reason = table(comparison(REFERENCE, SAME)), table(comparison(REFERENCE, DIFFERENT))
    assert [column.heading for column in plain.filled] == titles
    assert [column.heading for column in with_reason.filled] == [*titles, "reason"]


def test_the_verdict_names_loaders_with_other_pixels():
    assert verdict(comparison(REFERENCE, SAME)) == (
        "All loaders give the pixels of keras_pil, within the tolerance."
    )
    assert verdict(comparison(REFERENCE, DIFFERENT)) == (
        "Other pixels than keras_pil: tf_data decode=scaled."
    )


def test_the_worst_images_are_listed_with_their_reason():
    assert list(worst_images(comparison(REFERENCE, DIFFERENT))) == [
        "tf_data decode=scaled: any/1.jpg: mean 9.00, largest 40: depth"
    ]


def test_results_by_choice_do_not_accept_loaders_that_could_not_be_compared():
    results = by_choice(comparison(REFERENCE, DIFFERENT, FAILED), allowed=False)
    within = {name: result.within for name, result in results.items()}
    assert within == {"keras_pil": True, "tf_data decode=scaled": False, "keras_directory": None}
    assert [result.accepted for result in results.values()] == [True, False, False]
    allowed = by_choice(comparison(REFERENCE, DIFFERENT, FAILED), allowed=True)
    assert all(result.accepted for result in allowed.values())
    assert by_choice(None, allowed=True) == {}
