"""The comparison of pixels before a bench: what cannot be compared is not ranked."""

import shutil
from dataclasses import replace

import pytest

from feedbench.bench.analysis.summary import summarize
from feedbench.bench.commands.run_bench import compare_pixels
from feedbench.bench.pixels.result import by_choice
from feedbench.bench.plan.plan import Choice, Failures, PixelCheck, Plan, Timing
from feedbench.bench.report.summary_text import table_parts, verdict
from feedbench.loaders import BatchSpec, scan
from feedbench.trainer import Recipe

CHOICES = [Choice(loader="keras_pil"), Choice(loader="turbo")]
SPEC = BatchSpec(batch_size=8, image_size=32)
PLAN = Plan(tuple(CHOICES), SPEC, Recipe(), "drain", Timing(), Failures(), PixelCheck(images=100))
HURRIED = replace(PLAN, timing=Timing(time_limit=1e-6))


def compared(photos, folder, plan=PLAN):
    return compare_pixels(CHOICES, plan, scan(photos).only("train"), folder, print)


def test_an_unreadable_image_does_not_keep_the_others_from_being_compared(tiny_photos, tmp_path):
    photos = shutil.copytree(tiny_photos, tmp_path / "photos")
    damaged = photos / "train" / "circle" / "0.jpg"
    damaged.write_bytes(damaged.read_bytes()[:200])
    comparison = compared(photos, tmp_path)
    assert [loader.within for loader in comparison.loaders] == [True, True]


def test_where_no_trial_gave_a_rate_there_is_no_table(trial, printed):
    summary = summarize([trial("turbo", [], error="it crashed")])
    assert printed(*table_parts(summary)) == "turbo failed: it crashed\n"


@pytest.fixture
def uncompared(tiny_photos, tmp_path, trial):
    """A function: trials whose pixels could not be compared in time."""

    def trials(allowed):
        pixels = by_choice(compared(tiny_photos, tmp_path, HURRIED), allowed=allowed)
        trials = [trial("keras_pil", [100, 101, 99]), trial("turbo", [200, 201, 199])]
        return [one.model_copy(update={"pixels": pixels[one.loader]}) for one in trials]

    return trials


def test_without_a_comparison_nothing_is_ranked(uncompared, tmp_path):
    summary = summarize(uncompared(allowed=False))
    assert summary.winner is None
    assert [trial.ranked for trial in summary.trials] == [False, False]
    assert verdict(summary).startswith("No loader can be recommended: the pixels could not be ")
    assert not (tmp_path / "pixels.json").exists()


def test_without_a_comparison_loaders_are_ranked_if_other_pixels_are_allowed(uncompared):
    assert summarize(uncompared(allowed=True)).winner == 1
