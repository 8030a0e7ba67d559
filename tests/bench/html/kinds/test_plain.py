"""Results without charts are shown with what show prints of them."""

from pathlib import Path
from typing import get_args

from feedbench.bench.diagnose.checks import Check, SelfTest
from feedbench.bench.html import kinds as reports
from feedbench.bench.html.parts import Text
from feedbench.bench.plan.accelerators import find_accelerator
from feedbench.bench.results.find import read_result
from feedbench.bench.results.kinds import (
    BatchSizesResult,
    ChecksResult,
    DerivedDiagnosisResult,
    ProfileResult,
    Result,
)
from feedbench.bench.training.batch_size import BatchSizes, SizeResult

RESULTS = Path(__file__).parents[4] / "results"


def test_every_kind_of_result_has_a_report():
    assert {*get_args(Result)} == reports._MODULES.keys() | reports._PLAIN.keys()


def test_batch_sizes_are_a_table_of_figures(page):
    tried = [
        SizeResult(batch_size=64, fits=True, images_per_second=100, low=90, high=110),
        SizeResult(batch_size=128, fits=False, why="<out of memory>"),
    ]
    sizes = BatchSizes(tried=tried, memory_bytes=10**9, on_device=False, largest=64, smallest=64)
    made = page(BatchSizesResult(Path("batch-size.json"), sizes))
    assert "<out of memory>" in made.text
    assert "64" in made.report.headline.sentence
    assert not [part for part in made.of(Text) if part.text.startswith("Largest batch size")]


def test_checks_that_failed_are_marked(page):
    check = Check(name="a delay", expected="20 ms", measured="30 ms", passed=False)
    passed = check.model_copy(update={"name": "a count", "passed": True})
    made = page(ChecksResult(Path("checks.json"), SelfTest(checks=[check, passed])))
    assert "a delay" in made.text
    assert "30 ms" in made.text
    assert made.report.headline.sentence == "1 of 2 checks failed: a delay."
    made = page(ChecksResult(Path("checks.json"), SelfTest(checks=[passed, passed])))
    assert made.report.headline.sentence == "All 2 checks passed."


def test_profile_names_its_device(page):
    profile = find_accelerator("a100")
    made = page(ProfileResult(Path("profile.json"), profile))
    assert made.report.headline.sentence == (
        "A100 40 GB: 1,244 images/s with MobileNetV2, alpha 1 at batch 512, 224 px."
    )


def test_diagnosis_without_its_record_has_the_verdict_and_the_ceilings(page):
    diagnosis = read_result(RESULTS / "diagnose-clothing").diagnosis
    made = page(DerivedDiagnosisResult(Path("diagnosis.json"), diagnosis))
    assert diagnosis.verdict.startswith(made.report.headline.sentence)
    rates = {row["images/s [95 %]"][0] for row in made.table("Ceilings")}
    expected = [one.images_per_second for one in diagnosis.ceilings]
    assert rates == {rate.value for rate in expected if rate}
